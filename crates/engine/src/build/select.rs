//! Which files a pattern of `COPY` means, in a listing or in a mounted file system.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use wharf_build::glob;

use super::tree::{Kind, Tree};

/// Paths inside a root never leave it, whatever links say.
pub(super) const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// What files are copied from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// A client's listing.
    Tree(&'a Tree),
    /// A file system.
    Root(BorrowedFd<'a>),
}

/// A match: the path it was found by, and the path without links on the way and at the end that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) path: String,
    pub(super) real: String,
}

/// What a path or pattern means, in order; wildcards do not match slashes. Nothing for a path that does not exist.
pub(super) fn select(origin: Origin<'_>, pattern: &str) -> Vec<Selected> {
    let pattern = pattern.trim_matches('/');
    let mut found = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            // compat: cleaned away at the root, an error below nothing.
            found.iter_mut().for_each(|path| path.truncate(path.rfind('/').unwrap_or_default()));
            continue;
        }
        found = if is_pattern(part) {
            let inside = |folder: &String| {
                let names =
                    origin.names(folder).into_iter().filter(|name| glob::matches(part, name) == Ok(true));
                names.map(|name| join(folder, &name)).collect::<Vec<_>>()
            };
            found.iter().flat_map(inside).collect()
        } else {
            found.iter().map(|folder| join(folder, &part.replace('\\', ""))).collect()
        };
    }
    found.into_iter().filter_map(|path| Some(Selected { real: origin.find(&path)?, path })).collect()
}

/// Whether a path has wildcards.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

impl Origin<'_> {
    fn find(self, path: &str) -> Option<String> {
        match self {
            Self::Tree(tree) => tree.find(path),
            // The kernel follows the links whenever the path is used.
            Self::Root(root) => open(root, path, OFlags::PATH).ok().map(|_| path.to_owned()),
        }
    }

    /// The names in a folder; none if it is none.
    fn names(self, folder: &str) -> Vec<String> {
        match self {
            Self::Tree(tree) => tree.find(folder).map(|real| tree.names(&real)).unwrap_or_default(),
            Self::Root(root) => {
                let folder = open(root, folder, OFlags::RDONLY | OFlags::DIRECTORY);
                let mut names = folder.map(names_in).unwrap_or_default();
                names.sort_unstable();
                names
            }
        }
    }

    /// Whether something found is a folder.
    pub(super) fn is_folder(self, real: &str) -> bool {
        match self {
            Self::Tree(tree) => tree.get(real).is_some_and(|entry| entry.kind == Kind::Folder),
            Self::Root(root) => open(root, real, OFlags::PATH)
                .and_then(fstat)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        }
    }
}

/// Opens a path inside a root.
pub(super) fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), INSIDE)
}

fn names_in(folder: OwnedFd) -> Vec<String> {
    let Ok(entries) = Dir::read_from(folder.as_fd()) else { return Vec::new() };
    let name = |entry: rustix::fs::DirEntry| entry.file_name().to_str().ok().map(str::to_owned);
    entries.flatten().filter_map(name).filter(|name| name != "." && name != "..").collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn patterns() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/1", "a/2", "b/1", "c"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("../../etc", folder.path().join("out")).unwrap();
        let root = rustix::fs::open(folder.path(), OFlags::PATH, Mode::empty()).unwrap();
        let paths = |pattern| {
            let found = select(Origin::Root(root.as_fd()), pattern);
            found.into_iter().map(|selected| selected.path).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(paths("/a/*"), "a/1 a/2");
        assert_eq!(paths("/*/1"), "a/1 b/1");
        assert_eq!(paths("/c"), "c");
        assert_eq!(paths("/"), "");
        assert_eq!(paths("/out/passwd"), "");
        assert_eq!(paths("/none"), "");
        assert_eq!(paths("/../c"), "c");
    }
}

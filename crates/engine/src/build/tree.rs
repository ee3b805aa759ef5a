//! Files of a client as a listing: what steps copy of it is told by path, and its contents lie in a folder by their
//! digests. Nothing of it exists under its own name on this host, so no name and no link in it can lead anywhere.

use std::{
    collections::BTreeMap,
    fs::File,
    ops::Bound,
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

use wharf_oci::{Algorithm, Digest, Hasher};

use crate::{Error, Result};

/// Links followed on one path, at most; the kernel's number.
const MAX_LINKS: usize = 40;

/// A listing. Paths are `/`-separated, without a leading one, `.` or `..`; the root is empty.
pub(super) struct Tree {
    pub(super) entries: BTreeMap<String, TreeEntry>,
    contents: Box<dyn Contents>,
    /// One fetch at a time: what is asked for twice is got once.
    fetching: Mutex<()>,
    /// What identifies the whole of it, in the place of its contents: a commit.
    identity: Option<String>,
}

/// Something in a listing.
#[derive(Debug, Clone, Default)]
pub(super) struct TreeEntry {
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// Inode and change time, as the client has them.
    pub(super) stamp: (u64, i64),
    /// Target of a link.
    pub(super) link: String,
    /// Digest of a file's content, once known.
    pub(super) digest: OnceLock<Digest>,
}

/// What something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    #[default]
    File,
    Link,
    /// Devices, sockets and pipes, which are never copied.
    Other,
}

/// Where the contents of a listing's files come from.
pub(super) trait Contents: Send + Sync {
    /// Sees to it that the digests of these files are known and their contents at hand.
    fn fetch(&self, files: &[(&str, &TreeEntry)], whole: bool) -> Result<()>;

    /// Where the content with a digest is.
    fn path(&self, digest: &Digest) -> PathBuf;
}

impl Tree {
    pub(super) fn new(entries: BTreeMap<String, TreeEntry>, contents: Box<dyn Contents>) -> Self {
        Self { entries, contents, fetching: Mutex::default(), identity: None }
    }

    /// The same, known by what identifies the whole.
    pub(super) fn identified_by(self, identity: String) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// What is at a path, with links followed to their end inside the listing, and its path then.
    pub(super) fn find(&self, path: &str) -> Option<String> {
        let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(part),
            }
            let here = at.join("/");
            let entry = self.entries.get(&here)?;
            if entry.kind == Kind::Link {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                at.pop();
                if entry.link.starts_with('/') {
                    at.clear();
                }
                todo.extend(entry.link.rsplit('/').map(str::to_owned));
            }
        }
        Some(at.join("/"))
    }

    /// The entry at a path; the root is a folder.
    pub(super) fn get(&self, path: &str) -> Option<TreeEntry> {
        if path.is_empty() {
            return Some(TreeEntry { kind: Kind::Folder, mode: 0o755, ..TreeEntry::default() });
        }
        self.entries.get(path).cloned()
    }

    /// Everything below a folder, a folder before what is in it, by the path below it.
    pub(super) fn below<'a>(
        &'a self,
        folder: &str,
    ) -> impl Iterator<Item = (&'a str, &'a TreeEntry)> + use<'a> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = if prefix.is_empty() { Bound::Unbounded } else { Bound::Excluded(prefix.clone()) };
        let length = prefix.len();
        self.entries
            .range((from, Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .map(move |(path, entry)| (&path[length..], entry))
    }

    /// The names in a folder.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        self.below(folder).filter(|(path, _)| !path.contains('/')).map(|(path, _)| path.to_owned()).collect()
    }

    /// A digest of what is at some paths and below them: kinds, permissions, targets and contents, but no times.
    pub(super) fn digest(&self, tops: &[String], excluded: &dyn Fn(&str) -> bool) -> Result<Digest> {
        if let Some(identity) = &self.identity {
            return Ok(Digest::sha256(format!("{identity}\0{}", tops.join("\0")).as_bytes()));
        }
        let mut found = Vec::new();
        for top in tops {
            let name = top.rsplit('/').next().unwrap_or_default();
            if let Some(entry) = self.get(top) {
                found.push((format!("{name}\0"), top.clone(), entry));
            }
            for (path, entry) in self.below(top).filter(|(path, _)| !excluded(path)) {
                let whole = if top.is_empty() { path.to_owned() } else { format!("{top}/{path}") };
                found.push((format!("{name}\0{path}"), whole, entry.clone()));
            }
        }
        self.fetch(found.iter().map(|(_, path, _)| path.as_str()), false)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for (name, path, entry) in found {
            let digest = self.entries.get(&path).and_then(|entry| entry.digest.get());
            let content = digest.map(Digest::as_str).unwrap_or_default();
            let line = format!("{name}\0{:?}\0{:o}\0{}\0{content}\n", entry.kind, entry.mode, entry.link);
            hasher.update(line.as_bytes());
        }
        Ok(hasher.finish())
    }

    /// Sees to it that the digests of the files among these are known, and with `whole` that their contents are at hand.
    pub(super) fn fetch<'a>(&'a self, paths: impl IntoIterator<Item = &'a str>, whole: bool) -> Result<()> {
        let _one = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let files: Vec<_> = paths
            .into_iter()
            .filter_map(|path| self.entries.get_key_value(path))
            .filter(|(_, entry)| entry.kind == Kind::File && (whole || entry.digest.get().is_none()))
            .map(|(path, entry)| (path.as_str(), entry))
            .collect();
        if files.is_empty() { Ok(()) } else { self.contents.fetch(&files, whole) }
    }

    /// The content of a file that was fetched.
    pub(super) fn open(&self, path: &str) -> Result<File> {
        let digest = self.entries.get(path).and_then(|entry| entry.digest.get());
        let digest = digest.ok_or_else(|| Error::system(format!("{path}: content was not fetched")))?;
        let place = self.contents.path(digest);
        File::open(&place).map_err(|error| Error::io("open", &place, error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct Nothing;

    impl Contents for Nothing {
        fn fetch(&self, files: &[(&str, &TreeEntry)], _: bool) -> Result<()> {
            for (path, entry) in files {
                entry.digest.get_or_init(|| Digest::sha256(path.as_bytes()));
            }
            Ok(())
        }

        fn path(&self, _: &Digest) -> PathBuf {
            PathBuf::new()
        }
    }

    fn tree(entries: &[(&str, Kind, &str)]) -> Tree {
        let entry = |&(path, kind, link): &(&str, Kind, &str)| {
            (path.to_owned(), TreeEntry { kind, link: link.to_owned(), ..TreeEntry::default() })
        };
        Tree::new(entries.iter().map(entry).collect(), Box::new(Nothing))
    }

    #[test]
    fn links_stay_inside() {
        let tree = tree(&[
            ("a", Kind::Folder, ""),
            ("a/f", Kind::File, ""),
            ("abs", Kind::Link, "/a"),
            ("loop", Kind::Link, "loop"),
            ("out", Kind::Link, "../../etc"),
            ("rel", Kind::Link, "a/../a/f"),
        ]);
        let find = |path| tree.find(path);
        assert_eq!(find("abs/f").as_deref(), Some("a/f"));
        assert_eq!(find("rel").as_deref(), Some("a/f"));
        assert_eq!(find("../../a").as_deref(), Some("a"));
        assert_eq!((find("out/passwd"), find("loop"), find("none")), (None, None, None));
        assert_eq!(find("").as_deref(), Some(""));
    }

    #[test]
    fn a_folder_is_not_its_neighbour() {
        let tree = tree(&[
            ("a", Kind::Folder, ""),
            ("a/f", Kind::File, ""),
            ("a/s", Kind::Folder, ""),
            ("a/s/g", Kind::File, ""),
            ("a.b", Kind::File, ""),
            ("ab", Kind::File, ""),
        ]);
        assert_eq!(tree.below("a").map(|(path, _)| path).collect::<Vec<_>>(), ["f", "s", "s/g"]);
        assert_eq!(tree.names(""), ["a", "a.b", "ab"]);
        let digest = |tops: &[&str]| {
            tree.digest(&tops.iter().map(|&top| top.to_owned()).collect::<Vec<_>>(), &|_| false).unwrap()
        };
        assert_eq!(digest(&["a"]), digest(&["a"]));
        assert_ne!(digest(&["a"]), digest(&["ab"]));
        assert_ne!(digest(&["a"]), tree.digest(&["a".to_owned()], &|path| path == "f").unwrap());
    }
}

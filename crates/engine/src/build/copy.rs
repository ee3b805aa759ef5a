//! `COPY` and `ADD`: from listings and file systems into the file system of the step.

mod listing;

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat, statat},
    io::Errno,
};
use wharf_build::graph::CopyStep;
use wharf_store::Unpack;

use super::{
    pattern::Excludes,
    place::{
        Attributes, FOLDER_MODE, finish_folder, make_folder, make_folders, put_file, put_link, put_special,
    },
    select::{Origin, Selected, open, select},
    tree::Kind,
};
use crate::{Error, Result};

/// One source of a copy, with what it is copied from.
pub(super) enum Source<'a> {
    /// A path or pattern.
    Path { origin: Origin<'a>, path: &'a str, unpack: bool },
    /// A here-document.
    Inline { name: &'a str, content: &'a str },
}

/// A copy into a mounted file system.
pub(super) struct Copy<'a> {
    step: &'a CopyStep,
    root: BorrowedFd<'a>,
    /// The folder of the host with what the step changes.
    upper: &'a Path,
    /// Owner that everything gets.
    owner: Option<(u32, u32)>,
    /// Mode of folders that are made for what is copied.
    folder_mode: u32,
    excludes: Excludes,
    /// Time of here-documents and of folders made for others, in seconds.
    now: i64,
}

impl<'a> Copy<'a> {
    pub(super) fn new(
        step: &'a CopyStep,
        root: BorrowedFd<'a>,
        upper: &'a Path,
        owner: Option<(u32, u32)>,
        now: i64,
    ) -> Result<Self> {
        let folder_mode = folder_mode(step.chmod.as_deref());
        Ok(Self { step, root, upper, owner, folder_mode, excludes: Excludes::new(&step.exclude)?, now })
    }

    /// Copies all sources.
    ///
    /// # Errors
    /// A source that does not exist, or whatever keeps it from being copied.
    pub(super) fn run(&self, sources: &[Source<'_>]) -> Result<()> {
        let mut found = Vec::new();
        for source in sources {
            match source {
                Source::Path { origin, path, .. } => {
                    let selected = select(*origin, path);
                    if selected.is_empty() {
                        return Err(not_found(path));
                    }
                    found.extend(selected.into_iter().map(|selected| (source, Some((*origin, selected)))));
                }
                Source::Inline { .. } => found.push((source, None)),
            }
        }
        // Several things need a folder, whether or not that was said.
        let into_folder = self.step.destination.ends_with('/') || found.len() > 1 || self.is_folder();
        for (source, selected) in found {
            match (source, selected) {
                (Source::Path { unpack, path, .. }, Some((origin, selected))) => {
                    self.one(origin, path, &selected, into_folder, *unpack)?;
                }
                (Source::Inline { name, content }, _) => self.inline(name, content, into_folder)?,
                (Source::Path { .. }, None) => {}
            }
        }
        Ok(())
    }

    /// The folder at a path of the destination, made with its parents if it is missing.
    fn make_folders(&self, path: &str) -> Result<OwnedFd> {
        make_folders(self.root, path, self.owner.unwrap_or_default(), self.folder_mode)
    }

    /// A folder that was just made, where the host has it: what is put there by its thousands need not go through the
    /// merging file system, which has looked up nothing in it so far and so knows nothing that would become wrong.
    fn beneath(&self, path: &str) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let upper = rustix::fs::open(self.upper, flags, Mode::empty()).ok()?;
        let directly = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(upper, path.trim_start_matches('/'), flags, Mode::empty(), directly).ok()
    }

    fn is_folder(&self) -> bool {
        open(self.root, &self.step.destination, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    fn one(
        &self,
        origin: Origin<'_>,
        pattern: &str,
        selected: &Selected,
        into_folder: bool,
        unpack: bool,
    ) -> Result<()> {
        let destination = self.step.destination.trim_end_matches('/');
        let kept = if self.step.parents { kept(pattern, &selected.path) } else { "" };
        if origin.is_folder(&selected.real) {
            return self.folder(origin, selected, &format!("{destination}/{kept}"));
        }
        let base = selected.path.rsplit('/').next().unwrap_or_default();
        let target = match (self.step.parents, into_folder) {
            (true, _) => format!("{destination}/{kept}"),
            (false, true) => format!("{destination}/{base}"),
            (false, false) => self.step.destination.clone(),
        };
        if unpack && self.unpacked(origin, &selected.real)? {
            return Ok(());
        }
        let (folder, name) = target.rsplit_once('/').unwrap_or_default();
        let parent = self.make_folders(folder)?;
        match origin {
            Origin::Tree(tree) => {
                tree.fetch([selected.real.as_str()], true)?;
                let entry = tree.get(&selected.real).ok_or_else(|| not_found(&selected.real))?;
                self.tree_entry(tree, &selected.real, &entry, &parent, name.as_bytes(), &target)
            }
            Origin::Root(root) => {
                let (within, last) = selected.real.rsplit_once('/').unwrap_or(("", &selected.real));
                // The last link is followed: the file it leads to gets the link's name.
                let file = open(root, &selected.real, OFlags::PATH).map_err(|_| not_found(&selected.real))?;
                let stat = fstat(&file).map_err(|errno| read_failed(&selected.real, errno))?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                    let content = open(root, &selected.real, OFlags::RDONLY | OFlags::NONBLOCK)
                        .map_err(|errno| read_failed(&selected.real, errno))?;
                    let attributes = self.attributes(Attributes::of(&stat), false)?;
                    return put_file(&parent, name.as_bytes(), &content.into(), &attributes, &target);
                }
                let within = open(root, within, OFlags::PATH | OFlags::DIRECTORY)
                    .map_err(|errno| read_failed(&selected.real, errno))?;
                self.root_entry(&within, last.as_bytes(), &parent, name.as_bytes(), &target)
            }
        }
    }

    /// Copies what is in a folder.
    fn folder(&self, origin: Origin<'_>, selected: &Selected, target: &str) -> Result<()> {
        let target = target.trim_end_matches('/');
        // The folder itself is copied only with `--parents`; otherwise what is in it is.
        let is_new = open(self.root, target, OFlags::PATH | OFlags::DIRECTORY).is_err();
        let is_copied = self.step.parents && is_new;
        let folder = self.make_folders(target)?;
        let beneath = if is_new { self.beneath(target) } else { None };
        let into = beneath.as_ref().unwrap_or(&folder);
        match origin {
            Origin::Tree(tree) => {
                self.tree_folder(tree, &selected.real, into, target)?;
                if let (true, Some(entry)) = (is_copied, tree.get(&selected.real)) {
                    let found =
                        Attributes { mode: entry.mode, uid: 0, gid: 0, mtime: self.time(entry.mtime) };
                    finish_folder(&folder, &self.attributes(found, true)?, target)?;
                }
            }
            Origin::Root(root) => {
                let source = open(root, &selected.real, OFlags::RDONLY | OFlags::DIRECTORY)
                    .map_err(|errno| read_failed(&selected.real, errno))?;
                self.root_folder(&source, into, "", target)?;
                if is_copied {
                    let stat = fstat(&source).map_err(|errno| read_failed(&selected.real, errno))?;
                    finish_folder(&folder, &self.attributes(Attributes::of(&stat), true)?, target)?;
                }
            }
        }
        Ok(())
    }

    /// A time of a listing; one without times gets the present.
    fn time(&self, time: (i64, u32)) -> (i64, u32) {
        if time == (0, 0) { (self.now, 0) } else { time }
    }

    fn root_folder(&self, source: &OwnedFd, target: &OwnedFd, below: &str, shown: &str) -> Result<()> {
        for name in names(source).map_err(|errno| read_failed(below, errno))? {
            let text = String::from_utf8_lossy(&name).into_owned();
            let path = if below.is_empty() { text.clone() } else { format!("{below}/{text}") };
            if self.excludes.excludes(&path) {
                continue;
            }
            let failed = |errno| read_failed(&path, errno);
            let shown = format!("{shown}/{text}");
            let stat = statat(source, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                self.root_entry(source, &name, target, &name, &shown)?;
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let child = openat(source, name.as_slice(), flags, Mode::empty()).map_err(failed)?;
            let (made, _) = make_folder(target, &name, &shown)?;
            self.root_folder(&child, &made, &path, &shown)?;
            finish_folder(&made, &self.attributes(Attributes::of(&stat), true)?, &shown)?;
        }
        Ok(())
    }

    /// Copies anything but a folder from one open folder into another.
    fn root_entry(
        &self,
        source: &OwnedFd,
        from: &[u8],
        target: &OwnedFd,
        name: &[u8],
        shown: &str,
    ) -> Result<()> {
        let failed = |errno| read_failed(shown, errno);
        let stat = statat(source, from, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let mut attributes = Attributes::of(&stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let content = openat(source, from, flags, Mode::empty()).map_err(failed)?;
                put_file(target, name, &File::from(content), &self.attributes(attributes, false)?, shown)
            }
            FileType::Symlink => {
                let link = readlinkat(source, from, Vec::new()).map_err(failed)?;
                if let Some((uid, gid)) = self.owner {
                    (attributes.uid, attributes.gid) = (uid, gid);
                }
                put_link(target, name, link.to_bytes(), &attributes, shown)
            }
            FileType::Socket => Ok(()),
            _ => put_special(target, name, &stat, shown),
        }
    }

    fn inline(&self, name: &str, content: &str, into_folder: bool) -> Result<()> {
        let target = match into_folder {
            true => format!("{}/{name}", self.step.destination.trim_end_matches('/')),
            false => self.step.destination.clone(),
        };
        let (folder, name) = target.rsplit_once('/').unwrap_or_default();
        let parent = self.make_folders(folder)?;
        let mut file = tempfile::tempfile().map_err(|error| Error::system(error.to_string()))?;
        std::io::Write::write_all(&mut file, content.as_bytes())
            .map_err(|error| Error::system(error.to_string()))?;
        let found = Attributes { mode: 0o644, uid: 0, gid: 0, mtime: (self.now, 0) };
        put_file(&parent, name.as_bytes(), &file, &self.attributes(found, false)?, &target)
    }

    /// Unpacks a file if it is an archive; returns whether it is.
    fn unpacked(&self, origin: Origin<'_>, real: &str) -> Result<bool> {
        let file = match origin {
            Origin::Tree(tree) => {
                tree.fetch([real], true)?;
                if !tree.get(real).is_some_and(|entry| entry.kind == Kind::File) {
                    return Ok(false);
                }
                tree.open(real)?
            }
            Origin::Root(root) => match open(root, real, OFlags::RDONLY | OFlags::NONBLOCK) {
                Ok(file) => file.into(),
                Err(errno) => return Err(read_failed(real, errno)),
            },
        };
        if !is_archive(&file) {
            return Ok(false);
        }
        let destination = self.step.destination.trim_end_matches('/');
        self.make_folders(destination)?;
        let options = Unpack { owner: self.owner, keep_kinds: false };
        let folder = if destination.is_empty() { "/" } else { destination };
        wharf_store::unpack(self.root.as_fd(), folder.as_ref(), &file, options)?;
        Ok(true)
    }

    /// The attributes something gets that had others where it came from.
    fn attributes(&self, found: Attributes, is_folder: bool) -> Result<Attributes> {
        let (uid, gid) = self.owner.unwrap_or((found.uid, found.gid));
        let mode = match &self.step.chmod {
            Some(text) => super::pattern::chmod(text, found.mode, is_folder)?,
            None => found.mode,
        };
        Ok(Attributes { mode, uid, gid, mtime: found.mtime })
    }
}

/// compat: an octal `--chmod` is for the folders on the way to the destination too, as far as a umask of 022 lets it.
fn folder_mode(chmod: Option<&str>) -> u32 {
    let octal = chmod.and_then(|text| u32::from_str_radix(text, 8).ok());
    octal.map_or(FOLDER_MODE, |mode| mode & FOLDER_MODE)
}

/// With `--parents`, the part of a source's path that is kept: all of it, or what follows `/./` in the pattern.
fn kept<'a>(pattern: &str, path: &'a str) -> &'a str {
    let before = pattern.split_once("/./").map_or("", |(before, _)| before);
    let dropped = before.split('/').filter(|part| !part.is_empty() && *part != ".").count();
    (0..dropped).fold(path, |path, _| path.split_once('/').map_or("", |(_, rest)| rest))
}

/// Whether a file is an archive that `ADD` unpacks.
fn is_archive(file: &File) -> bool {
    let mut head = Vec::new();
    let read = file.take(512).read_to_end(&mut head);
    let _ = rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0));
    if read.is_err() {
        return false;
    }
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    compressed.iter().any(|magic| head.starts_with(magic)) || head.get(257..262) == Some(b"ustar")
}

fn names(folder: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// BuildKit's words for a source that is not there.
pub(super) fn not_found(path: &str) -> Error {
    Error::not_found(format!("\"/{}\": not found", path.trim_start_matches('/')))
}

fn read_failed(path: &str, errno: Errno) -> Error {
    Error::io("read", std::path::Path::new(path), errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_kept_from_the_pivot_on() {
        assert_eq!(kept("/a/b/*", "a/b/c"), "a/b/c");
        assert_eq!(kept("/a/./b/*", "a/b/c"), "b/c");
        assert_eq!(kept("/x/y/./*", "x/y/z"), "z");
    }
}

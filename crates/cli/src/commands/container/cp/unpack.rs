//! An archive out of a container unpacked into a local directory.
//!
//! What is in the archive is not to be trusted: every name is resolved by the kernel as if the directory were the
//! root of everything, so that neither `..` nor a link leads out of it.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps},
    io::Errno,
};
use tar::{Archive, Entry, EntryType};

/// Unpacks `archive` into `directory`. In each name, the first occurrence of the first text of each pair in
/// `renames` is replaced by the second.
pub(super) fn unpack(archive: impl Read, directory: &Path, renames: &[(String, String)]) -> io::Result<()> {
    let root = fs::openat(CWD, directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut unpacker = Unpacker { root, renames, times: Vec::new(), made: BTreeSet::new() };
    let mut archive = Archive::new(archive);
    for entry in archive.entries()? {
        unpacker.entry(&mut entry?)?;
    }
    unpacker.set_times()
}

struct Unpacker<'a> {
    root: OwnedFd,
    renames: &'a [(String, String)],
    /// Directories get their time last, as every file in them changes it.
    times: Vec<(PathBuf, i64)>,
    made: BTreeSet<PathBuf>,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let path = self.local(&entry.path_bytes())?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
        let time = i64::try_from(entry.header().mtime()?).unwrap_or_default();
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The directory itself, which is there.
            return Ok(());
        };
        let parent = self.parent(&path)?;
        if kind.is_dir() {
            self.directory(&parent, &name, mode, &path)?;
            self.times.push((path, time));
            return Ok(());
        }
        self.make_room(&parent, &name, &path)?;
        match kind {
            EntryType::Symlink => fs::symlinkat(link(entry)?, &parent, &name)?,
            EntryType::Link => {
                let target = self.local(link(entry)?.as_bytes())?;
                let from = self.parent(&target)?;
                let file = target.file_name().unwrap_or_default();
                fs::linkat(from, file, &parent, &name, AtFlags::empty())?;
                return Ok(());
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => special(entry, &parent, &name, mode)?,
            _ => regular(entry, &parent, &name, mode)?,
        }
        set_time(&parent, &name, time)
    }

    /// The name of an entry below the root, renamed, with neither `.` nor a leading slash.
    fn local(&self, name: &[u8]) -> io::Result<PathBuf> {
        let mut name = name.to_vec();
        for (old, new) in self.renames {
            // compat: as text, wherever it is.
            let old = if old == "/" { &[][..] } else { old.as_bytes() };
            let found =
                name.windows(old.len().max(1)).position(|part| part.starts_with(old) || old.is_empty());
            if let Some(at) = found {
                name.splice(at..at + old.len(), new.bytes());
            }
        }
        let mut path = PathBuf::new();
        for part in Path::new(&OsString::from_vec(name)).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::RootDir | Component::CurDir => {}
                _ => return Err(io::Error::other(format!("invalid name in archive: {}", path.display()))),
            }
        }
        Ok(path)
    }

    /// The directory that `path` is in, made if it is missing.
    fn parent(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut at = PathBuf::new();
        let mut directory = self.open(Path::new("."))?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            at.push(part);
            directory = match self.open(&at) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::mkdirat(&directory, part.as_os_str(), Mode::from_raw_mode(0o777))?;
                    self.open(&at)?
                }
                other => other?,
            };
        }
        Ok(directory)
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(fs::openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
    }

    fn directory(&mut self, parent: &OwnedFd, name: &OsStr, mode: Mode, path: &Path) -> io::Result<()> {
        match kind(parent, name)? {
            None => fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?,
            Some(FileType::Directory) => {}
            Some(_) => {
                let name = path.display();
                return Err(io::Error::other(format!(
                    "cannot overwrite non-directory \"{name}\" with directory \"{name}\""
                )));
            }
        }
        self.made.insert(path.to_owned());
        Ok(fs::chmodat(parent, name, mode, AtFlags::empty())?)
    }

    /// Removes what an entry replaces.
    fn make_room(&self, parent: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<()> {
        match kind(parent, name)? {
            None => Ok(()),
            Some(FileType::Directory) => {
                let name = path.display();
                Err(io::Error::other(format!(
                    "cannot overwrite directory \"{name}\" with non-directory \"{name}\""
                )))
            }
            Some(_) => Ok(fs::unlinkat(parent, name, AtFlags::empty())?),
        }
    }

    fn set_times(self) -> io::Result<()> {
        for (path, time) in self.times.iter().rev() {
            let parent = self.parent(path)?;
            set_time(&parent, path.file_name().unwrap_or_default(), *time)?;
        }
        Ok(())
    }
}

fn kind(parent: &OwnedFd, name: &OsStr) -> io::Result<Option<FileType>> {
    match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn link<R: Read>(entry: &Entry<'_, R>) -> io::Result<OsString> {
    let name = entry.link_name_bytes().ok_or_else(|| io::Error::other("link without a target in archive"))?;
    Ok(OsString::from_vec(name.into_owned()))
}

fn regular(entry: &mut Entry<'_, impl Read>, parent: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
    io::copy(entry, &mut file)?;
    Ok(fs::fchmod(file.as_fd(), mode)?)
}

fn special(entry: &Entry<'_, impl Read>, parent: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<()> {
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Char => FileType::CharacterDevice,
        EntryType::Block => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let number = |number: io::Result<Option<u32>>| number.map(Option::unwrap_or_default);
    let device = fs::makedev(number(header.device_major())?, number(header.device_minor())?);
    fs::mknodat(parent, name, kind, mode, device)?;
    Ok(fs::chmodat(parent, name, mode, AtFlags::empty())?)
}

fn set_time(parent: &OwnedFd, name: &OsStr, seconds: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{create_dir, hard_link, metadata, read_link, read_to_string, write};

    use super::*;
    use crate::commands::container::cp::pack::write_archive;

    fn entry(builder: &mut tar::Builder<Vec<u8>>, kind: EntryType, name: &str, link: &str, content: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        let bytes = &mut header.as_old_mut().name;
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }

    #[test]
    fn a_tree_survives_the_way_there_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("d");
        create_dir(&source).unwrap();
        create_dir(source.join("sub")).unwrap();
        write(source.join("sub/two"), "two\n").unwrap();
        write(source.join(format!("{}x", "long".repeat(50))), "").unwrap();
        hard_link(source.join("sub/two"), source.join("same")).unwrap();
        std::os::unix::fs::symlink("sub/two", source.join("link")).unwrap();
        let mut archive = Vec::new();
        write_archive(&source, "new", &mut archive).unwrap();
        unpack(&archive[..], folder.path(), &[]).unwrap();
        let new = folder.path().join("new");
        assert_eq!(read_to_string(new.join("sub/two")).unwrap(), "two\n");
        assert_eq!(read_link(new.join("link")).unwrap(), Path::new("sub/two"));
        assert!(new.join(format!("{}x", "long".repeat(50))).exists());
        use std::os::unix::fs::MetadataExt;
        assert_eq!(metadata(new.join("same")).unwrap().ino(), metadata(new.join("sub/two")).unwrap().ino());
        assert_eq!(metadata(&new).unwrap().mtime(), metadata(&source).unwrap().mtime());
    }

    #[test]
    fn nothing_leaves_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        create_dir(&inside).unwrap();
        create_dir(&outside).unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        entry(&mut builder, EntryType::Symlink, "link", outside.to_str().unwrap(), "");
        entry(&mut builder, EntryType::Symlink, "up", "../out", "");
        let archive = builder.into_inner().unwrap();
        unpack(&archive[..], &inside, &[]).unwrap();
        for name in ["link/f", "up/f", "../out/f", "/../out/f"] {
            let mut builder = tar::Builder::new(Vec::new());
            entry(&mut builder, EntryType::Regular, name, "", "x");
            let archive = builder.into_inner().unwrap();
            let _ = unpack(&archive[..], &inside, &[]);
            assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{name}");
        }
    }

    #[test]
    fn files_and_directories_do_not_replace_each_other() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("a"), "").unwrap();
        create_dir(folder.path().join("b")).unwrap();
        for (kind, name, text) in [
            (EntryType::Directory, "a/", "cannot overwrite non-directory \"a\" with directory \"a\""),
            (EntryType::Regular, "b", "cannot overwrite directory \"b\" with non-directory \"b\""),
        ] {
            let mut builder = tar::Builder::new(Vec::new());
            entry(&mut builder, kind, name, "", "");
            let archive = builder.into_inner().unwrap();
            assert_eq!(unpack(&archive[..], folder.path(), &[]).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn names_are_replaced_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        entry(&mut builder, EntryType::Regular, "old", "", "x");
        let archive = builder.into_inner().unwrap();
        unpack(&archive[..], folder.path(), &[("old".to_owned(), "new".to_owned())]).unwrap();
        assert_eq!(read_to_string(folder.path().join("new")).unwrap(), "x");
    }
}

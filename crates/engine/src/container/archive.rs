//! `cp`: paths of a container as tar archives, both ways.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    os::fd::BorrowedFd,
    path::Path,
};

use jiff::Timestamp;
use rustix::{
    fs::{FileType, Stat, fstat},
    io::Errno,
};
use wharf_api::container::PathStat;
use wharf_store::{Unpack, pack, unpack};

use super::{
    Container,
    root::{absolute, follow, locate},
    user::Accounts,
};
use crate::{Engine, Error, Result};

/// How an archive is put into a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct PutOptions {
    /// A folder does not make way for something else, nor the other way round.
    pub keep_kinds: bool,
    /// Everything belongs to the container's user.
    pub own: bool,
}

impl Engine {
    /// What is at `path` in a container; a link in the last place stands for itself.
    ///
    /// # Errors
    /// No such container or path (404), or an empty path (400).
    pub fn stat_path(&self, name: &str, path: &str) -> Result<PathStat> {
        let entry = self.containers.find(name)?;
        let wanted = checked(path)?;
        self.with_root(&entry, |root| describe(root, &wanted).map_err(|errno| failed(errno, path, name)))
    }

    /// Writes what is at `path` in a container to `out` as a tar. `described` hears what it is before anything is
    /// written.
    ///
    /// # Errors
    /// As [`Engine::stat_path`], or `out` fails.
    pub fn get_archive(
        &self,
        name: &str,
        path: &str,
        described: impl FnOnce(PathStat) + Send,
        out: impl Write + Send,
    ) -> Result<()> {
        let entry = self.containers.find(name)?;
        let wanted = checked(path)?;
        self.with_root(&entry, |root| {
            described(describe(root, &wanted).map_err(|errno| failed(errno, path, name))?);
            Ok(pack(root, Path::new(&wanted), OsStr::new(base(&wanted)), out)?)
        })?;
        let container = entry.get();
        self.events.publish("container", "archive-path", &container.id, container.event_attributes());
        Ok(())
    }

    /// Unpacks a tar, which may be compressed, into the folder at `path` of a container.
    ///
    /// # Errors
    /// No such container or path (404); no folder there, or one that is read-only (400); a broken archive.
    pub fn put_archive(
        &self,
        name: &str,
        path: &str,
        options: PutOptions,
        archive: impl Read + Send,
    ) -> Result<()> {
        let entry = self.containers.find(name)?;
        let wanted = checked(path)?;
        self.with_root(&entry, |root| {
            let folder = follow(root, &wanted);
            let found = locate(root, &folder).and_then(fstat).map_err(|errno| failed(errno, path, name))?;
            if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
                return Err(Error::invalid("extraction point is not a directory"));
            }
            let container = entry.get();
            check_writable(&container, &folder)?;
            let owner = if options.own { self.owner(&container)? } else { None };
            Ok(unpack(root, Path::new(&folder), archive, Unpack { owner, keep_kinds: options.keep_kinds })?)
        })?;
        let container = entry.get();
        self.events.publish("container", "extract-to-dir", &container.id, container.event_attributes());
        Ok(())
    }

    /// User and group of the container's processes, if it says any.
    fn owner(&self, container: &Container) -> Result<Option<(u32, u32)>> {
        if container.config.user.is_empty() {
            return Ok(None);
        }
        let snapshot = self.snapshot(container)?;
        let user = Accounts::of(&snapshot)?.resolve(&container.config.user, &[])?;
        Ok(Some((user.uid, user.gid)))
    }
}

fn checked(path: &str) -> Result<String> {
    if path.is_empty() {
        // compat: the missing blank.
        return Err(Error::invalid("bad parameter: pathcannot be empty"));
    }
    Ok(absolute(path))
}

fn failed(errno: Errno, path: &str, name: &str) -> Error {
    match errno {
        Errno::NOENT => Error::not_found(format!("Could not find the file {path} in container {name}")),
        errno => Error::io("lstat", Path::new(path), errno.into()),
    }
}

/// A volume decides for itself; everywhere else the root file system does.
fn check_writable(container: &Container, folder: &str) -> Result<()> {
    let volume = container.mounts.iter().filter(|point| Path::new(folder).starts_with(&point.destination));
    match volume.max_by_key(|point| point.destination.len()) {
        Some(point) if !point.rw => Err(Error::invalid("mounted volume is marked read-only")),
        None if container.host_config.readonly_rootfs => {
            Err(Error::invalid("container rootfs is marked read-only"))
        }
        _ => Ok(()),
    }
}

/// The last component as the reference has it: `.` for a trailing dot, `/` for the root.
fn base(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit('/').next() {
        Some("") | None => "/",
        Some(name) => name,
    }
}

fn describe(root: BorrowedFd<'_>, path: &str) -> Result<PathStat, Errno> {
    let stat = fstat(locate(root, path)?)?;
    let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
    let mtime = Timestamp::new(stat.st_mtime, i32::try_from(stat.st_mtime_nsec).unwrap_or_default());
    Ok(PathStat {
        name: base(path).to_owned(),
        size: stat.st_size,
        mode: go_mode(&stat),
        mtime: mtime.unwrap_or_default().to_string(),
        link_target: if is_link { follow(root, path) } else { String::new() },
    })
}

/// Mode and kind as Go's `os.FileMode` has them.
fn go_mode(stat: &Stat) -> u32 {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => 0,
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        FileType::Unknown => 1 << 19,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special.iter().filter(|(bit, _)| stat.st_mode & bit != 0).map(|(_, go)| go);
    kind | stat.st_mode & 0o777 | special.sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_archives() {
        let names = ["/", "/a", "/a/", "/a/.", "/a/b"].map(base);
        assert_eq!(names, ["/", "a", "a", ".", "b"]);
    }

    #[test]
    fn volumes_decide_before_the_root() {
        use wharf_api::container::MountPoint;
        let mut container = Container::default();
        container.host_config.readonly_rootfs = true;
        for (destination, rw) in [("/v", true), ("/v/ro", false)] {
            let point = MountPoint { destination: destination.to_owned(), rw, ..MountPoint::default() };
            container.mounts.push(point);
        }
        let words = |folder| check_writable(&container, folder).err().map(|error| error.to_string());
        assert_eq!(words("/v/x"), None);
        assert_eq!(words("/v/ro/x").as_deref(), Some("mounted volume is marked read-only"));
        assert_eq!(words("/vv").as_deref(), Some("container rootfs is marked read-only"));
    }
}

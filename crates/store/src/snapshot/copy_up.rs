//! The first content of a volume: a copy of what the image has at its mount point.

use std::collections::HashMap;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chmodat, chownat, linkat, mkdirat,
    mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::merged::{self, Folder, Object, Place, attribute_path};
use crate::{Error, Result, Snapshot, walk, xattr};

impl Snapshot {
    /// Copies the folder at `path` in the image into the empty folder `target`, with owners, modes, times, links and
    /// attributes, and gives `target` those of the folder itself. Links on the way to `path` are followed inside.
    ///
    /// Returns whether something was copied: not if `target` holds anything, nor if the image has no folder there.
    pub fn copy_up(&self, path: &Path, target: &Path) -> Result<bool> {
        use std::os::unix::ffi::OsStrExt;
        let layers = self.mounts().lower.iter().cloned();
        let root = Folder::root(layers).map_err(|(path, errno)| Error::io("read", path, errno))?;
        let found = merged::find(&Rc::new(root), path.as_os_str().as_bytes());
        let source = match found.map_err(|errno| Error::io("read", path, errno))? {
            Some(Place::Folder(source)) => source,
            _ => return Ok(false),
        };
        let failed = |errno| Error::io("copy the image's content to", target, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(target, flags, Mode::empty()).map_err(failed)?;
        if !walk::names(&folder).map_err(failed)?.is_empty() {
            return Ok(false);
        }
        let stat = rustix::fs::fstat(source.top()).map_err(failed)?;
        let mut copy = Copy { links: HashMap::new() };
        if let Err(errno) = copy.content(&source, &folder) {
            // A part would be taken for the volume's own content the next time.
            for name in walk::names(&folder).unwrap_or_default() {
                let _ = walk::remove(&folder, &name);
            }
            return Err(failed(errno));
        }
        let xattrs = xattr::list(&attribute_path(source.top(), b"")).map_err(failed)?;
        attributes(&folder, b".", &stat, &xattrs).map_err(failed)?;
        Ok(true)
    }
}

struct Copy {
    /// Where the first name of each file with several was made: its path by descriptor is kept alive by the folder.
    links: HashMap<(u64, u64), (Rc<OwnedFd>, Vec<u8>)>,
}

impl Copy {
    fn content(&mut self, source: &Folder, target: &OwnedFd) -> Result<(), Errno> {
        let target = Rc::new(target.try_clone().map_err(|_| Errno::MFILE)?);
        for name in source.names()? {
            match source.get(&name)? {
                None => {}
                Some(Object::Folder(child, stat)) => {
                    mkdirat(&*target, name.as_slice(), Mode::from_raw_mode(0o700))?;
                    let folder = walk::open_folder(&*target, &name)?;
                    self.content(&child, &folder)?;
                    attributes(&target, &name, &stat, &xattr::list(&child.attribute_path(0, b""))?)?;
                }
                Some(Object::Other(part, stat)) => self.other(source, part, &name, &stat, &target)?,
            }
        }
        Ok(())
    }

    fn other(
        &mut self,
        source: &Folder,
        part: usize,
        name: &[u8],
        stat: &Stat,
        target: &Rc<OwnedFd>,
    ) -> Result<(), Errno> {
        if stat.st_nlink > 1 {
            if let Some((folder, first)) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                return linkat(&**folder, first.as_slice(), &**target, name, AtFlags::empty());
            }
            self.links.insert((stat.st_dev, stat.st_ino), (Rc::clone(target), name.to_vec()));
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        match kind {
            FileType::RegularFile => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(&**target, name, flags, Mode::from_raw_mode(0o600))?;
                copy_data(source.open(part, name)?, file.into()).map_err(|error| errno(&error))?;
            }
            FileType::Symlink => symlinkat(source.link_target(part, name)?, &**target, name)?,
            FileType::Socket => return Ok(()),
            _ => mknodat(&**target, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?,
        }
        attributes(target, name, stat, &xattr::list(&source.attribute_path(part, name))?)
    }
}

/// Copies content and leaves holes where the source has them.
fn copy_data(mut from: std::fs::File, mut to: std::fs::File) -> std::io::Result<()> {
    let length = from.metadata()?.len();
    let mut at = 0;
    while at < length {
        let data = match rustix::fs::seek(&from, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(Errno::INVAL) => at,
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(&from, rustix::fs::SeekFrom::Hole(data)).unwrap_or(length);
        from.seek(SeekFrom::Start(data))?;
        to.seek(SeekFrom::Start(data))?;
        std::io::copy(&mut std::io::Read::take(&mut from, end - data), &mut to)?;
        at = end;
    }
    to.set_len(length)
}

/// Gives a file owner, attributes, mode and times.
pub(crate) fn attributes(
    folder: &OwnedFd,
    name: &[u8],
    stat: &Stat,
    xattrs: &[xattr::Xattr],
) -> Result<(), Errno> {
    let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    chownat(folder, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    xattr::set(&path, xattrs)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        // After the owner, since changing that drops the set-id bits.
        chmodat(folder, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    let time = |sec, nsec: u64| Timespec { tv_sec: sec, tv_nsec: nsec.cast_signed() };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

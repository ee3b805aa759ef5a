//! Walking a tree without leaving it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, statat, unlinkat};
use rustix::io::Errno;

use crate::{Error, Result};

/// Something in a tree.
pub(crate) struct Found<'a> {
    /// Path below the top.
    pub(crate) path: &'a [u8],
    pub(crate) stat: Stat,
}

impl Found<'_> {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Calls `visit` for everything below `top`, a folder before what is in it.
pub(crate) fn tree(top: &Path, visit: &mut dyn FnMut(&Found<'_>)) -> Result<()> {
    let failed = |errno: Errno| Error::io("read", top, errno);
    let folder = rustix::fs::open(top, OPEN_FOLDER, Mode::empty()).map_err(failed)?;
    below(&folder, &mut Vec::new(), visit).map_err(failed)
}

fn below(folder: &OwnedFd, path: &mut Vec<u8>, visit: &mut dyn FnMut(&Found<'_>)) -> Result<(), Errno> {
    for name in names(folder)? {
        // What disappears while it is walked (in a running container) was not there.
        let Ok(stat) = statat(folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        let found = Found { path, stat };
        let is_folder = found.kind() == FileType::Directory;
        visit(&found);
        if is_folder {
            match open_folder(folder, &name) {
                Ok(child) => below(&child, path, visit)?,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
        }
        path.truncate(length);
    }
    Ok(())
}

const OPEN_FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a folder in a folder for reading.
pub(crate) fn open_folder(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, OPEN_FOLDER, Mode::empty())
}

/// The names in a folder, in order, without `.` and `..`.
pub(crate) fn names(folder: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
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

/// Removes whatever has a name in a folder; nothing having it is fine. Never leaves the folder.
pub(crate) fn remove(folder: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    let folder = folder.as_fd();
    match unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Err(Errno::NOENT) => return Ok(()),
        other => return other,
    }
    let child = open_folder(folder, name)?;
    for name in names(&child)? {
        remove(&child, &name)?;
    }
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}

//! From a part of a mounted root to a tar.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, openat2, statat};
use rustix::io::Errno;

use super::archive::{Archive, Entries, failed};
use crate::walk::{self, open_folder};
use crate::{Error, Result};

/// Writes what is at `path` below `root` as a tar whose entries begin with `name` (`/` for a root). The last component
/// is not followed if it is a link, unless `path` ends in `/` or `/.`; all others are, inside the root.
pub fn pack(root: BorrowedFd<'_>, path: &Path, name: &OsStr, out: impl Write) -> Result<()> {
    let failed = |errno| Error::io("read", path, errno);
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = |path: &[u8], flags: OFlags| {
        openat2(root, path, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), inside)
    };
    let (path, name) = (path.as_os_str().as_bytes(), name.as_bytes());
    let mut archive = Archive::new(out);
    match open(path, OFlags::RDONLY | OFlags::NOFOLLOW) {
        Ok(folder) => {
            let stat = fstat(&folder).map_err(failed)?;
            archive.object(name.strip_suffix(b"/").unwrap_or(name), &stat, &folder, b"")?;
            archive.tree(&folder, &mut name.to_vec())?;
        }
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let slash = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
            let (parent, base) = path.split_at(slash);
            let parent = open(if parent.is_empty() { b"." } else { parent }, OFlags::PATH).map_err(failed)?;
            let stat = statat(&parent, base, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            archive.object(name, &stat, &parent, base)?;
        }
        Err(errno) => return Err(failed(errno)),
    }
    archive.finish()
}

impl<O: Entries> Archive<O> {
    /// Adds what is in a folder that overlayfs has merged already.
    fn tree(&mut self, folder: &OwnedFd, path: &mut Vec<u8>) -> Result<()> {
        for name in walk::names(folder).map_err(|errno| failed(path, errno))? {
            // What a running container removes meanwhile is not there.
            let Ok(stat) = statat(folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let length = path.len();
            if !path.ends_with(b"/") {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                match open_folder(folder, &name) {
                    Ok(child) => {
                        self.object(path, &stat, &child, b"")?;
                        self.tree(&child, path)?;
                    }
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(errno) => return Err(failed(path, errno)),
                }
            } else {
                match self.object(path, &stat, folder, &name) {
                    Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
            path.truncate(length);
        }
        Ok(())
    }
}

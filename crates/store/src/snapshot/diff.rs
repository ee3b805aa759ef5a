//! What a container changed: its own folder compared with the layers below.

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;

use crate::layer::Size;
use crate::merged::{Folder, Object, attribute_path, is_opaque, is_whiteout};
use crate::walk::{self, open_folder};
use crate::{Error, Result, Snapshot, xattr};

/// A path that differs from the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Absolute path in the container.
    pub path: String,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How a path differs from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Content or attributes changed, or something in it did. Docker's `C`, 0 in its API.
    Modified,
    /// It is new. Docker's `A`, 1.
    Added,
    /// It is gone. Docker's `D`, 2.
    Deleted,
}

impl Snapshot {
    /// The changes of a container, ordered by path, a folder before what is in it. The mount points of volumes are among
    /// them if the image has no such folders.
    pub fn diff(&self) -> Result<Vec<Change>> {
        let mounts = self.mounts();
        let failed = |(path, errno): (std::path::PathBuf, Errno)| Error::io("read", path, errno);
        let lower = Folder::root(mounts.lower.iter().cloned()).map_err(failed)?;
        let upper = Folder::root([mounts.upper.clone()]).map_err(failed)?;
        let mut changes = Vec::new();
        compare(upper.top(), Some(&lower), b"", &mut changes)
            .map_err(|errno| Error::io("read", &mounts.upper, errno))?;
        changes.sort_by(|a, b| a.0.cmp(&b.0));
        let change = |(path, kind): Found| Change { path: String::from_utf8_lossy(&path).into_owned(), kind };
        Ok(changes.into_iter().map(change).collect())
    }

    /// Bytes of the files in a container's own folder, counted as [`LayerInfo::size`](crate::LayerInfo::size).
    pub fn size_rw(&self) -> Result<u64> {
        let mut size = Size::default();
        walk::tree(self.upper(), &mut |found| size.add(found))?;
        Ok(size.bytes)
    }
}

type Found = (Vec<u8>, ChangeKind);

fn compare(
    upper: &std::os::fd::OwnedFd,
    lower: Option<&Folder>,
    path: &[u8],
    changes: &mut Vec<Found>,
) -> Result<(), Errno> {
    let names = walk::names(upper)?;
    for name in &names {
        // What a running container removes meanwhile is not there.
        let Ok(stat) = statat(upper, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let path = [path, b"/", name].concat();
        let old = lower.map(|lower| lower.get(name)).transpose()?.flatten();
        if is_whiteout(&stat) {
            if old.is_some() {
                changes.push((path, ChangeKind::Deleted));
            }
            continue;
        }
        let kind = match &old {
            None => Some(ChangeKind::Added),
            Some(old) => {
                let before = old_attribute_path(lower, old, name);
                let differs = differs(old.stat(), &stat)
                    || xattr::capability(&before) != xattr::capability(&attribute_path(upper, name));
                differs.then_some(ChangeKind::Modified)
            }
        };
        let at = changes.len();
        changes.extend(kind.map(|kind| (path.clone(), kind)));
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let below = match &old {
                Some(Object::Folder(folder, _)) => Some(folder),
                _ => None,
            };
            compare(&open_folder(upper, name)?, below, &path, changes)?;
            // A folder in which something changed is reported although it is itself the same.
            if kind.is_none() && changes.len() > at {
                changes.push((path, ChangeKind::Modified));
            }
        }
    }
    // The kernel marks a folder that replaces another; what the old one held is gone one by one.
    if let Some(lower) = lower
        && is_opaque(upper)
    {
        for name in lower.names()? {
            if names.binary_search(&name).is_err() && lower.get(&name)?.is_some() {
                changes.push(([path, b"/", name.as_slice()].concat(), ChangeKind::Deleted));
            }
        }
    }
    Ok(())
}

fn old_attribute_path(lower: Option<&Folder>, old: &Object, name: &[u8]) -> Vec<u8> {
    match (old, lower) {
        (Object::Folder(folder, _), _) => folder.attribute_path(0, b""),
        (Object::Other(part, _), Some(lower)) => lower.attribute_path(*part, name),
        (Object::Other(..), None) => Vec::new(),
    }
}

/// Docker's idea of a difference: the size of a folder and the time of its last change say nothing about it.
fn differs(old: &Stat, new: &Stat) -> bool {
    let is_folder = FileType::from_raw_mode(new.st_mode) == FileType::Directory;
    old.st_mode != new.st_mode
        || (old.st_uid, old.st_gid, old.st_rdev) != (new.st_uid, new.st_gid, new.st_rdev)
        || !is_folder && (old.st_size != new.st_size || !same_time(old, new))
}

/// Times from archives may have whole seconds only.
fn same_time(a: &Stat, b: &Stat) -> bool {
    a.st_mtime == b.st_mtime
        && (a.st_mtime_nsec == b.st_mtime_nsec || a.st_mtime_nsec == 0 || b.st_mtime_nsec == 0)
}

//! Several folders seen as one, as overlayfs would show them, without mounting anything: what reads layers and stopped
//! containers is bound to no mount, no namespace and no limit on the number of layers.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use crate::walk::{self, open_folder};

/// Links followed on one path, at most; the kernel's number.
const MAX_LINKS: usize = 40;

/// A folder in all the layers that contribute to it, top first.
pub(crate) struct Folder {
    parts: Vec<OwnedFd>,
}

/// What a name in a folder stands for.
pub(crate) enum Object {
    /// A folder, with the attributes of the topmost.
    Folder(Folder, Stat),
    /// Anything else; it is in this part of its folder.
    Other(usize, Stat),
}

impl Object {
    pub(crate) fn stat(&self) -> &Stat {
        let (Self::Folder(_, stat) | Self::Other(_, stat)) = self;
        stat
    }
}

impl Folder {
    /// The root of a stack of layers, top first.
    pub(crate) fn root(layers: impl IntoIterator<Item = PathBuf>) -> Result<Self, (PathBuf, Errno)> {
        let mut parts = Vec::new();
        for path in layers {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::open(&path, flags, Mode::empty()) {
                Ok(part) => parts.push(part),
                Err(errno) => return Err((path, errno)),
            }
        }
        Ok(Self { parts })
    }

    /// The names that may be in the folder, in order: some are only remembered as removed.
    pub(crate) fn names(&self) -> Result<BTreeSet<Vec<u8>>, Errno> {
        let mut names = BTreeSet::new();
        for part in &self.parts {
            names.extend(walk::names(part)?);
        }
        Ok(names)
    }

    /// What a name stands for; `None` if nothing has it.
    pub(crate) fn get(&self, name: &[u8]) -> Result<Option<Object>, Errno> {
        let mut parts = Vec::new();
        let mut top = None;
        for (at, part) in self.parts.iter().enumerate() {
            let stat = match statat(part, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                // Under a folder, anything else only ends the merging.
                return match top {
                    Some(top) => Ok(Some(Object::Folder(Self { parts }, top))),
                    None if is_whiteout(&stat) => Ok(None),
                    None => Ok(Some(Object::Other(at, stat))),
                };
            }
            let child = open_folder(part, name)?;
            let opaque = is_opaque(&child);
            parts.push(child);
            top.get_or_insert(stat);
            if opaque {
                break;
            }
        }
        Ok(top.map(|top| Object::Folder(Self { parts }, top)))
    }

    /// Opens a plain file of the folder for reading.
    pub(crate) fn open(&self, part: usize, name: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.parts[part], name, flags, Mode::empty()).map(File::from)
    }

    /// The target of a symbolic link in the folder.
    pub(crate) fn link_target(&self, part: usize, name: &[u8]) -> Result<Vec<u8>, Errno> {
        rustix::fs::readlinkat(&self.parts[part], name, Vec::new()).map(std::ffi::CString::into_bytes)
    }

    /// A path by which the attributes of a name in the folder can be reached; for a folder, `part` is 0.
    pub(crate) fn attribute_path(&self, part: usize, name: &[u8]) -> Vec<u8> {
        attribute_path(&self.parts[part], name)
    }

    /// One of the folders, by the number [`Object::Other`] has.
    pub(crate) fn part(&self, part: usize) -> &OwnedFd {
        &self.parts[part]
    }

    /// The topmost of the folders.
    pub(crate) fn top(&self) -> &OwnedFd {
        &self.parts[0]
    }
}

/// Finds a path below `root` with links followed, all of it inside. Returns the folder it is in, its name there and what
/// it is; the root itself has no name.
pub(crate) fn find(root: &Rc<Folder>, path: &[u8]) -> Result<Option<Place>, Errno> {
    let mut todo: VecDeque<Vec<u8>> = path.split(|&b| b == b'/').map(<[u8]>::to_vec).collect();
    let mut trail = vec![Rc::clone(root)];
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                if trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            _ => {}
        }
        let Some(folder) = trail.last().map(Rc::clone) else { return Ok(None) };
        match folder.get(&name)? {
            None => return Ok(None),
            Some(Object::Folder(child, _)) => trail.push(Rc::new(child)),
            Some(Object::Other(part, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = folder.link_target(part, &name)?;
                if target.first() == Some(&b'/') {
                    trail.truncate(1);
                }
                for component in target.split(|&b| b == b'/').rev() {
                    todo.push_front(component.to_vec());
                }
            }
            Some(Object::Other(part, stat)) => {
                let more = todo.iter().any(|name| !name.is_empty());
                return if more { Ok(None) } else { Ok(Some(Place::Other { folder, name, part, stat })) };
            }
        }
    }
    Ok(trail.pop().map(Place::Folder))
}

/// Where a path led.
pub(crate) enum Place {
    Folder(Rc<Folder>),
    Other { folder: Rc<Folder>, name: Vec<u8>, part: usize, stat: Stat },
}

/// Whether a file stands for the absence of those below it: a character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The attribute by which overlayfs marks a folder that hides those below.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";

/// Whether a folder hides those below it.
pub(crate) fn is_opaque(folder: impl AsFd) -> bool {
    let mut value = [0u8; 2];
    rustix::fs::fgetxattr(folder, OPAQUE, &mut value).is_ok_and(|len| &value[..len] == b"y")
}

/// A path to a name in an open folder for calls that have no form with a descriptor. An empty name is the folder.
pub(crate) fn attribute_path(folder: &OwnedFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    path
}

//! What a later entry of the same layer replaces. Rare, but the tar still holds both, so the earlier content is kept
//! beside the tree for as long as the recipe needs it.

use std::collections::{HashMap, HashSet};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, statat};
use rustix::io::Errno;

use super::recipe::write_moved;
use crate::walk::{self, Found};
use crate::{Error, Result};

pub(crate) struct Replaced {
    /// The layer's folder.
    layer: PathBuf,
    /// Inode of each file the recipe refers to, by its number.
    inodes: Vec<u64>,
    /// `shadow`, once something was put there.
    shadow: Option<OwnedFd>,
    count: u32,
    /// Whether anything at all was replaced.
    any: bool,
}

impl Replaced {
    pub(crate) fn new(layer: &Path) -> Self {
        Self { layer: layer.to_owned(), inodes: Vec::new(), shadow: None, count: 0, any: false }
    }

    /// Notes that the recipe's file `number` has this inode.
    pub(crate) fn wrote(&mut self, number: u32, inode: u64) {
        debug_assert_eq!(number as usize, self.inodes.len());
        self.inodes.push(inode);
    }

    /// Makes way under a name: files and folders go to `shadow`, the rest is deleted. Returns whether paths that went
    /// through here may now lead elsewhere.
    pub(crate) fn put_aside(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<bool, Errno> {
        self.any = true;
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            kind @ (FileType::RegularFile | FileType::Directory) => {
                let number = self.count;
                self.count += 1;
                let shadow = self.shadow()?;
                rustix::fs::renameat(parent, name, shadow, number.to_string())?;
                Ok(kind == FileType::Directory)
            }
            _ => rustix::fs::unlinkat(parent, name, AtFlags::empty()).map(|()| true),
        }
    }

    /// Records where every replaced content is and deletes what no reference needs. Returns the size of the tree, if
    /// anything was replaced and counting along was therefore wrong.
    pub(crate) fn settle(self, root: &Path) -> Result<Option<u64>> {
        if !self.any {
            return Ok(None);
        }
        let mut places = HashMap::new();
        let mut size = Size::default();
        walk::tree(root, &mut |found| {
            size.add(found);
            note(&mut places, b"diff", found);
        })?;
        let shadow = self.layer.join("shadow");
        if self.shadow.is_some() {
            walk::tree(&shadow, &mut |found| note(&mut places, b"shadow", found))?;
        }
        let mut moved = Vec::new();
        for (number, inode) in self.inodes.iter().enumerate() {
            let place = places.get(inode).ok_or_else(|| {
                Error::io("find a file of", root, std::io::Error::from(std::io::ErrorKind::NotFound))
            })?;
            moved.push((number as u32, place.clone()));
        }
        write_moved(&self.layer.join("moved"), &moved)?;
        if !moved.iter().any(|(_, place)| place.starts_with(b"shadow/")) {
            crate::trash::remove_tree(&shadow).map_err(|source| Error::io("delete", &shadow, source))?;
        }
        Ok(Some(size.bytes))
    }

    fn shadow(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        use std::os::fd::AsFd;
        if self.shadow.is_none() {
            let path = self.layer.join("shadow");
            rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700))?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.shadow = Some(rustix::fs::open(&path, flags, Mode::empty())?);
        }
        self.shadow.as_ref().map(AsFd::as_fd).ok_or(Errno::NOENT)
    }
}

fn note(places: &mut HashMap<u64, Vec<u8>>, top: &[u8], found: &Found<'_>) {
    if found.kind() == FileType::RegularFile {
        places.insert(found.stat.st_ino, [top, b"/", found.path].concat());
    }
}

/// Size of a tree as Docker counts it: lengths of files and links, hard-linked ones once.
#[derive(Default)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    linked: HashSet<(u64, u64)>,
}

impl Size {
    pub(crate) fn add(&mut self, found: &Found<'_>) {
        let stat = &found.stat;
        let first = stat.st_nlink < 2 || self.linked.insert((stat.st_dev, stat.st_ino));
        if found.kind() != FileType::Directory && first {
            self.bytes += stat.st_size.unsigned_abs();
        }
    }
}

//! A layer over another base than it was made on, without its contents being copied.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, statat};
use rustix::io::Errno;
use wharf_oci::Digest;

use super::ingest::{TempLayer, chain};
use super::{LayerInfo, Lease};
use crate::merged::{Folder, OPAQUE, Object, is_opaque};
use crate::snapshot::attributes;
use crate::walk::{self, open_folder};
use crate::{Error, Result, Store, xattr};

impl Store {
    /// Whether `top` over `below` (bottom first) only adds: each folder that both have is the same but for its content,
    /// and files take the place of files at most. What is copied where this does not hold, say below a link, comes out
    /// otherwise than a layer on top would.
    ///
    /// # Errors
    /// The file system cannot be read.
    pub fn is_addition(&self, top: &Digest, below: &[Digest]) -> Result<bool> {
        let failed = |(path, errno)| Error::io("open", path, errno);
        let upper = Folder::root([self.layer_dir(top)]).map_err(failed)?;
        let lower = Folder::root(below.iter().rev().map(|chain| self.layer_dir(chain))).map_err(failed)?;
        adds_only(&upper, &lower).map_err(|errno| Error::io("read", self.layer_dir(top), errno))
    }

    /// The layer `top` over the layer `below`, or over nothing. Its files are those of `top` under further names. The
    /// lease keeps it until something names it.
    ///
    /// # Errors
    /// [`Error::NoLayer`]; the file system gives a file no further name.
    pub fn stack(&self, top: &Digest, below: Option<&Digest>, lease: &Lease) -> Result<LayerInfo> {
        let info = self.0.db.read(|view| self.layer(view, top))?;
        let chain_id = chain(below, &info.diff_id);
        if let Some(known) = self.has_chain(&chain_id, lease)? {
            return Ok(known);
        }
        let source = self.layer_dir(top);
        let temp = TempLayer::create(self)?;
        let failed = |errno| Error::io("link", &source, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let from = rustix::fs::open(&source, flags, Mode::empty()).map_err(failed)?;
        let to = rustix::fs::open(&temp.0, flags, Mode::empty()).map_err(failed)?;
        link_tree(&from, &to).map_err(failed)?;
        self.publish(temp, LayerInfo { chain_id, parent: below.cloned(), ..info })
    }
}

fn adds_only(upper: &Folder, lower: &Folder) -> Result<bool, Errno> {
    for name in upper.names()? {
        let adds = match (upper.get(&name)?, lower.get(&name)?) {
            (_, None) => true,
            (Some(Object::Folder(upper, new)), Some(Object::Folder(lower, old))) => {
                let same = (new.st_mode, new.st_uid, new.st_gid) == (old.st_mode, old.st_uid, old.st_gid);
                same && !is_opaque(upper.top()) && adds_only(&upper, &lower)?
            }
            (Some(Object::Other(_, new)), Some(Object::Other(_, old))) => {
                let is_file = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
                is_file(new.st_mode) && is_file(old.st_mode)
            }
            _ => false,
        };
        if !adds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives everything in one folder a second name in another.
fn link_tree(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    for name in walk::names(from)? {
        let stat = statat(from, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            linkat(from, name.as_slice(), to, name.as_slice(), AtFlags::empty())?;
            continue;
        }
        mkdirat(to, name.as_slice(), Mode::from_raw_mode(0o700))?;
        let (source, target) = (open_folder(from, &name)?, open_folder(to, &name)?);
        link_tree(&source, &target)?;
        if is_opaque(&source) {
            rustix::fs::fsetxattr(&target, OPAQUE, b"y", rustix::fs::XattrFlags::empty())?;
        }
        attributes(to, &name, &stat, &xattr::list(&crate::merged::attribute_path(&source, b""))?)?;
    }
    Ok(())
}

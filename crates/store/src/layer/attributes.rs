//! What a tar entry says about a file besides its content, in the kernel's terms.

use std::ffi::CString;

use rustix::fs::{Gid, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::tar::{Entry, Time};
use crate::xattr::is_overlay;

/// Attributes to set: not those by which overlayfs steers itself, which only its own whiteouts may bring.
pub(crate) fn wanted_xattrs(entry: &Entry) -> impl Iterator<Item = (CString, &[u8])> {
    entry.xattrs.iter().filter_map(|(name, value)| {
        let name = CString::new(name.as_slice()).ok().filter(|_| !is_overlay(name))?;
        Some((name, value.as_slice()))
    })
}

/// A file system without an attribute's namespace loses the attribute, not the image; Docker does the same.
pub(crate) fn tolerate(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        other => other,
    }
}

/// Ids are 32 bits; the one of all ones means "unchanged" to the kernel and is not given.
pub(crate) fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    let id = |id: u64| Some(id as u32).filter(|&id| id != u32::MAX);
    (id(entry.uid).map(Uid::from_raw), id(entry.gid).map(Gid::from_raw))
}

pub(crate) fn times(time: Time) -> Timestamps {
    let time = Timespec { tv_sec: time.sec, tv_nsec: time.nsec.into() };
    Timestamps { last_access: time, last_modification: time }
}

//! The parts of the mount API of Linux 5.12 that `rustix` lacks: `mount_setattr(2)`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Result, check};

/// Read-only.
pub const ATTR_RDONLY: u64 = 0x1;
/// Ignore set-user-id bits.
pub const ATTR_NOSUID: u64 = 0x2;
/// No device files.
pub const ATTR_NODEV: u64 = 0x4;
/// No execution.
pub const ATTR_NOEXEC: u64 = 0x8;
/// The bits that hold the access time policy.
pub const ATTR_ATIME_MASK: u64 = 0x70;
/// Access times relative to modification times (the default).
pub const ATTR_RELATIME: u64 = 0x0;
/// Access times are not updated.
pub const ATTR_NOATIME: u64 = 0x10;
/// Access times are always updated.
pub const ATTR_STRICTATIME: u64 = 0x20;
/// Access times of directories are not updated.
pub const ATTR_NODIRATIME: u64 = 0x80;
/// Ids are mapped by a user namespace.
pub const ATTR_IDMAP: u64 = 0x0010_0000;
/// Symbolic links are not followed.
pub const ATTR_NOSYMFOLLOW: u64 = 0x0020_0000;

/// Propagation: events go both ways between peers.
pub const PROPAGATION_SHARED: u64 = libc::MS_SHARED;
/// Propagation: events come in, none go out.
pub const PROPAGATION_SLAVE: u64 = libc::MS_SLAVE;
/// Propagation: no events.
pub const PROPAGATION_PRIVATE: u64 = libc::MS_PRIVATE;
/// Propagation: no events, and the mount cannot be bound.
pub const PROPAGATION_UNBINDABLE: u64 = libc::MS_UNBINDABLE;

/// What [`mount_setattr`] changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// `ATTR_*` bits to set.
    pub set: u64,
    /// `ATTR_*` bits to clear.
    pub clear: u64,
    /// One of `PROPAGATION_*`, or 0 to leave it.
    pub propagation: u64,
}

#[repr(C)]
struct RawMountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `mount_setattr(2)` on `path` below `dir` (`dir` itself when the path is empty), on the whole tree when `recursive`.
/// `userns` gives the mapping for [`ATTR_IDMAP`].
pub fn mount_setattr(
    dir: BorrowedFd<'_>,
    path: &CStr,
    recursive: bool,
    attr: MountAttr,
    userns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let raw = RawMountAttr {
        attr_set: attr.set,
        attr_clr: attr.clear,
        propagation: attr.propagation,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= 0x8000; // AT_RECURSIVE
    }
    // SAFETY: `raw` has the layout of `struct mount_attr` and its size is passed; the path is a C string.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const raw,
            size_of::<RawMountAttr>(),
        )
    })
    .map(drop)
}

//! Loading seccomp filters: `seccomp(2)`.

use std::os::fd::{FromRawFd, OwnedFd};

use crate::{Result, check};

/// One classic BPF instruction, laid out as the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

/// Log every action but allow (`SECCOMP_FILTER_FLAG_LOG`).
pub const FLAG_LOG: u32 = 2;
/// Leave speculative store bypass alone (`SECCOMP_FILTER_FLAG_SPEC_ALLOW`).
pub const FLAG_SPEC_ALLOW: u32 = 4;
/// Return a notification descriptor (`SECCOMP_FILTER_FLAG_NEW_LISTENER`).
pub const FLAG_NEW_LISTENER: u32 = 8;
/// Only fatal signals interrupt a received notification (`SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`).
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 32;

/// Puts the calling thread under `filter`. Needs no_new_privs or `CAP_SYS_ADMIN`. Returns the notification descriptor
/// when [`FLAG_NEW_LISTENER`] is among `flags`.
pub fn load(filter: &[Instruction], flags: u32) -> Result<Option<OwnedFd>> {
    let len = u16::try_from(filter.len()).map_err(|_| crate::Errno::INVAL)?;
    let program = Program { len, filter: filter.as_ptr() };
    // SAFETY: `program` describes a live slice; the kernel copies and verifies it.
    let ret = check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    })?;
    if flags & FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with NEW_LISTENER the call returns a new descriptor (close-on-exec) that nothing else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(ret as i32) }))
}

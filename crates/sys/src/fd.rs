//! Descriptors: numbers, ranges, sealed memory files.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::{Result, check, last_errno};

/// `close_range(2)`: closes every descriptor from `first` on.
///
/// For a new process that is about to exec: descriptors that Rust objects still own must not be used afterwards.
pub fn close_from(first: u32) -> Result<()> {
    // SAFETY: integers only; the caller is a process on its way to exec, as documented.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn set_cloexec_from(first: u32) -> Result<()> {
    // SAFETY: integers only; nothing is closed.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Closes every descriptor from `first` on that is not in `keep`. The same conditions as for [`close_from`] hold.
pub fn close_from_except(first: u32, keep: &[RawFd]) -> Result<()> {
    let mut keep: Vec<u32> = keep.iter().map(|fd| *fd as u32).filter(|fd| *fd >= first).collect();
    keep.sort_unstable();
    let mut next = first;
    for fd in keep {
        if fd > next {
            // SAFETY: as in `close_from`.
            check(unsafe { libc::syscall(libc::SYS_close_range, next, fd - 1, 0) })?;
        }
        next = fd + 1;
    }
    close_from(next)
}

/// Makes descriptor number `target` a copy of `fd` that survives exec (`dup2`); clears close-on-exec when both are equal.
pub fn place(fd: BorrowedFd<'_>, target: RawFd) -> Result<()> {
    if fd.as_raw_fd() == target {
        // SAFETY: changes a flag of an open descriptor.
        return check(unsafe { libc::fcntl(target, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: the number is only used for standard streams and descriptors passed to a new program.
    check(unsafe { libc::dup2(fd.as_raw_fd(), target) }.into()).map(drop)
}

/// Takes over descriptor `number`, which this process was started with, and marks it close-on-exec. To be called at most
/// once per number. Fails with `BADF` when it is not open.
pub fn adopt(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: changes a flag of a descriptor; fails when it is not open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(last_errno());
    }
    // SAFETY: the descriptor is open and, by contract, was inherited and is taken once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A memory file with the content of `file`, sealed against every change.
pub fn sealed_copy(name: &str, file: &mut std::fs::File) -> std::io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut memory = std::fs::File::from(memory);
    std::io::copy(file, &mut memory)?;
    seal(&memory)?;
    Ok(memory.into())
}

/// Seals a memory file against every change: no write, no growing, no shrinking, no other seals.
pub fn seal(memory: impl std::os::fd::AsFd) -> Result<()> {
    rustix::fs::fcntl_add_seals(
        memory,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )
}

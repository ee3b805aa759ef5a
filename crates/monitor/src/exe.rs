//! A view of the running binary that no container can write through.
//!
//! A process inside a container can reach the binary of the process that created it through `/proc/<pid>/exe`
//! (CVE-2019-5736). So the launcher, and with it every monitor, runs from a sealed copy in memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags};

const RUNNING: &str = "/proc/self/exe";

/// Opens the running binary such that it can be executed but not written.
pub(crate) fn read_only() -> io::Result<OwnedFd> {
    sealed_copy()
}

/// The path by which a descriptor of a binary is executed.
pub(crate) fn path(binary: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", binary.as_raw_fd()))
}

/// Costs the binary's size in memory, once for all monitors.
fn sealed_copy() -> io::Result<OwnedFd> {
    let copy = rustix::fs::memfd_create("wharf", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut File::open(RUNNING)?, &mut copy)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}

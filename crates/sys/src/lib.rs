//! Thin safe wrappers over the kernel: the only crate with `unsafe`.
//!
//! `rustix` is used wherever it has a safe call; what is here is missing there or needs one place that states why it is
//! sound. Everything returns [`rustix::io::Errno`] as its error, takes borrowed descriptors and gives owned ones that are
//! close-on-exec.
//!
//! - [`process`]: `clone3`, fork, exec, namespaces, ids, prctl bits
//! - [`mount`]: `mount_setattr`, `open_tree` attributes
//! - [`caps`]: capability sets as bit masks
//! - [`seccomp`], [`bpf`]: filter load, device programs
//! - [`fd`]: `close_range`, sealed memory files, descriptor numbers
//! - [`socket`]: descriptors over unix sockets
//! - [`signal`]: masks, dispositions, signalfd
//! - [`net`]: the loopback interface
//! - [`keyring`]: session keyrings
//! - [`memory`]: how much a process holds
//! - [`sched`]: scheduling policy, I/O priority, execution domain
//! - [`self_exe`]: re-executing the own binary so that containers cannot write it
#![allow(unsafe_code)]

pub mod bpf;
pub mod caps;
pub mod fd;
pub mod keyring;
pub mod memory;
pub mod mount;
pub mod net;
pub mod process;
pub mod sched;
pub mod seccomp;
pub mod self_exe;
pub mod signal;
pub mod socket;

pub use rustix::io::{Errno, Result};

/// Turns the return value of a raw system call into a result.
pub(crate) fn check(ret: libc::c_long) -> Result<libc::c_long> {
    if ret >= 0 {
        return Ok(ret);
    }
    Err(last_errno())
}

/// The calling thread's `errno`.
pub(crate) fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

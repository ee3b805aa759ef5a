//! Seccomp filters: from a profile's names and conditions to a BPF program.
//!
//! - [`Profile`]: the profile document of Docker, with conditions on capabilities, architecture and kernel; [`default_seccomp`]
//!   is the built-in one
//! - [`compile`]: the runtime specification's list of rules to a [`BpfProgram`]
//! - `syscalls`: numbers by name

mod compile;
mod profile;
mod syscalls;

use std::os::fd::OwnedFd;

use wharf_sys::Errno;
use wharf_sys::seccomp::{self as sys, Instruction};

pub use self::compile::compile;
pub use self::profile::{Profile, default_seccomp};
use crate::error::{Context, Result};

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfProgram {
    instructions: Vec<Instruction>,
    flags: u32,
}

impl BpfProgram {
    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Puts the calling thread under the filter; returns the notification descriptor when the filter has one. Needs
    /// no_new_privs or `CAP_SYS_ADMIN`.
    pub fn load(&self) -> Result<Option<OwnedFd>> {
        match sys::load(&self.instructions, self.flags) {
            // Flags that are only wishes are unknown to older kernels.
            Err(Errno::INVAL) if self.flags & !sys::FLAG_NEW_LISTENER != 0 => {
                sys::load(&self.instructions, self.flags & sys::FLAG_NEW_LISTENER)
            }
            result => result,
        }
        .init(|| "error loading seccomp filter into kernel".into())
    }
}

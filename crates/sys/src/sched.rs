//! Scheduling policy, I/O priority and execution domain of the calling process.

use crate::{Result, check};

/// Arguments of `sched_setattr(2)`; times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SchedAttr {
    /// Size of this struct; filled in by [`set_scheduler`].
    pub size: u32,
    /// `SCHED_*` policy number.
    pub policy: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// Nice value for the ordinary policies.
    pub nice: i32,
    /// Priority for the real-time policies.
    pub priority: u32,
    /// Deadline policy: run time per period.
    pub runtime: u64,
    /// Deadline policy: relative deadline.
    pub deadline: u64,
    /// Deadline policy: period.
    pub period: u64,
}

/// `sched_setattr(2)` on the calling thread.
pub fn set_scheduler(mut attr: SchedAttr) -> Result<()> {
    attr.size = size_of::<SchedAttr>() as u32;
    // SAFETY: the struct has the kernel's layout and carries its size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) }).map(drop)
}

/// `ioprio_set(2)` on the calling process: class 1 real-time, 2 best-effort, 3 idle; level 0 (highest) to 7.
pub fn set_io_priority(class: u32, level: u32) -> Result<()> {
    // SAFETY: integers only; 1 is IOPRIO_WHO_PROCESS.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, 1, 0, class << 13 | level) }).map(drop)
}

/// `personality(2)`: the execution domain and its flags.
pub fn set_personality(persona: u64) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_personality, persona) }).map(drop)
}

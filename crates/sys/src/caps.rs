//! Capability sets as 64-bit masks: bit `n` is capability number `n`.

use crate::{Result, check};

const VERSION_3: u32 = 0x2008_0522;

/// The three per-thread sets of `capset(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Checked by the kernel.
    pub effective: u64,
    /// What `effective` may hold.
    pub permitted: u64,
    /// Kept across exec together with the file's inheritable set.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The calling thread's sets.
pub fn get() -> Result<Sets> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 reads the header and writes two `Data` records.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Sets {
        effective: join(data[0].effective, data[1].effective),
        permitted: join(data[0].permitted, data[1].permitted),
        inheritable: join(data[0].inheritable, data[1].inheritable),
    })
}

/// Replaces the calling thread's sets.
pub fn set(sets: Sets) -> Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads the header and two `Data` records.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// The bounding set: what exec can ever grant.
pub fn bounding() -> u64 {
    let mut set = 0;
    for cap in 0..64u64 {
        // SAFETY: integers only; EINVAL marks the end of the capabilities the kernel knows.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, cap, 0u64, 0u64, 0u64) } {
            1 => set |= 1 << cap,
            0 => {}
            _ => break,
        }
    }
    set
}

/// Removes one capability from the bounding set (needs `CAP_SETPCAP`).
pub fn drop_bounding(cap: u32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(cap), 0u64, 0u64, 0u64) }.into()).map(drop)
}

/// Empties the ambient set.
pub fn clear_ambient() -> Result<()> {
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as u64;
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, 0u64, 0u64, 0u64) }.into()).map(drop)
}

/// Adds one capability, which must be permitted and inheritable, to the ambient set.
pub fn raise_ambient(cap: u32) -> Result<()> {
    let raise = libc::PR_CAP_AMBIENT_RAISE as u64;
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, u64::from(cap), 0u64, 0u64) }.into()).map(drop)
}

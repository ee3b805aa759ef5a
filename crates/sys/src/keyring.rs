//! Session keyrings: `keyctl(2)`.

use std::ffi::CStr;

use crate::{Result, check};

const JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Gives the calling process a new session keyring of that name, so that keys of the old one are out of reach.
pub fn join_session(name: &CStr) -> Result<()> {
    // SAFETY: the name is a C string.
    check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) }).map(drop)
}

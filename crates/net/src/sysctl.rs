//! The few sysctls the bridge driver sets, in the network namespace of the calling thread.

use std::io;
use std::path::PathBuf;

/// The value of `net.<name>`, or `None` if the kernel has no such setting.
pub(crate) fn get(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(PathBuf::from("/proc/sys/net").join(name)).ok()?;
    Some(text.trim_end().to_owned())
}

/// Writes `net.<name>`; the name's parts are separated by slashes since interface names may hold dots.
pub(crate) fn set(name: &str, value: &str) -> io::Result<()> {
    // Unchanged values are left alone: the tree may be read-only, and some writes flush caches.
    if get(name).is_some_and(|now| now == value) {
        return Ok(());
    }
    std::fs::write(PathBuf::from("/proc/sys/net").join(name), value)
}

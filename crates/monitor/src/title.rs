//! The name by which `ps` shows a monitor.

/// Bytes of argument space the launcher is started with, which a monitor's title replaces.
pub(crate) const ROOM: usize = 96;

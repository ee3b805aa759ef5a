//! Integration tests of the whole: they need root.
//!
//! Every test starts an engine of its own ([`TestDaemon`]) with its own folders, socket, bridge, cgroup and address
//! pool, so that tests run side by side and beside any other engine, and drives it by the command line.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod daemon;
mod image;

pub use daemon::{Output, TestDaemon, until};
pub use image::{busybox_tar, write_tar};

//! Integration tests of the whole: they need root.
//!
//! Every test starts an engine of its own ([`TestDaemon`]) with its own folders, socket, bridge, cgroup and address
//! pool, so that tests run side by side and beside any other engine, and drives it by the command line.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod build;
mod daemon;
mod disk;
mod golden;
mod image;
mod net;
mod oracle;
mod pty;
mod registry;
mod web;
mod wire;

pub use daemon::{Output, TestDaemon, binary, until, unused_subnet};
pub use disk::SmallDisk;
pub use golden::golden;
pub use image::{Archive, busybox_tar, sha256, write_tar};
pub use net::{NetworkNamespace, free_port, http_get, in_network_of};
pub use oracle::Oracle;
pub use pty::Pty;
pub use registry::Registry;
pub use web::Web;
pub use wire::Wire;

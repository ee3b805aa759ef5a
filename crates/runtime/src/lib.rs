//! OCI runtime: bundle to process.
//!
//! [`create`] clones a container's first process into its namespaces and returns at once; [`Created::prepare`] makes the
//! control group while the process sets up its root, and [`Created::start`] releases it into the program. The caller is
//! single-threaded and the parent of every process made.
//!
//! - `container`, `init`: both sides of a creation, talking over `channel`
//! - `process`, `lookup`, `capabilities`, `tuning`: becoming the program; shared with `exec`
//! - `rootfs`, `mounts`, `mount_options`, `idmap`, `devices`, `terminal`: the root file system and what is in it
//! - `paths`: every path inside a root
//! - `namespaces`, `spawn`: new and joined namespaces
//! - `cgroup`: control groups of both versions
//! - [`seccomp`]: profiles and their compiler
//! - `hooks`, `sysctl`: programs and kernel parameters of the specification
//! - `spec`, `state`, [`cli`]: bundles and the command line in runc's form

mod capabilities;
mod cgroup;
mod channel;
pub mod cli;
mod container;
mod devices;
mod error;
mod exec;
mod hooks;
mod idmap;
mod init;
mod lookup;
mod mount_options;
mod mounts;
mod namespaces;
mod paths;
mod process;
mod rootfs;
pub mod seccomp;

mod seccomp_agent;
mod spawn;
mod spec;
mod state;
mod sysctl;
mod terminal;
mod tuning;

pub use capabilities::{available as available_capabilities, names as capability_names};
pub use cgroup::{
    BlkioEntry, BlkioStats, Cgroup, CpuStats, HugetlbStats, MemoryStats, OomWatch, PidsStats, Stats, Version,
};
pub use container::{CreateArgs, Created, Process, Stdio, create, wait};
pub use error::{Error, FailureKind, Result};
pub use exec::{ExecArgs, exec};
pub use hooks::HookState;
pub use rootfs::RootFs;
pub use spec::default_spec;

/// The version of the runtime specification this runtime implements.
pub const OCI_VERSION: &str = "1.2.1";

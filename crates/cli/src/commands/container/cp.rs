//! `container cp`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::bool("archive", "Archive mode (copy all uid/gid information)").short('a'),
    Flag::bool("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
    Flag::bool("quiet", "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("cp", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", "Copy files/folders between a container and the local filesystem")
    .long("Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.")
    .aliases(&["container cp", "cp"])
    .args(Args::Exact(2))
    .flags(FLAGS);

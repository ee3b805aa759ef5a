//! `container start`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::bool("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
    Flag::string("detach-keys", "Override the key sequence for detaching a container"),
    Flag::bool("interactive", "Attach container's STDIN").short('i'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("start", "[OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers")
        .aliases(&["container start", "start"])
        .args(Args::Min(1))
        .flags(FLAGS);

//! `container rm`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::bool("force", "Force the removal of a running container (uses SIGKILL)").short('f'),
    Flag::bool("link", "Remove the specified link").short('l'),
    Flag::bool("volumes", "Remove anonymous volumes associated with the container").short('v'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("rm", "[OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers")
        .other_names(&["remove"])
        .aliases(&["container rm", "container remove", "rm"])
        .args(Args::Min(1))
        .flags(FLAGS);

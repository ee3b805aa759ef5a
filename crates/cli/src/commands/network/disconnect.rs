//! `network disconnect`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[Flag::bool("force", "Force the container to disconnect from a network").short('f')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("disconnect", "[OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network")
        .args(Args::Exact(2))
        .flags(FLAGS);

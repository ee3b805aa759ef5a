//! `container kill`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[Flag::string("signal", "Signal to send to the container").short('s')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("kill", "[OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers")
        .aliases(&["container kill", "kill"])
        .args(Args::Min(1))
        .flags(FLAGS);

//! `container stop`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("signal", "Signal to send to the container").short('s'),
    Flag::int("timeout", "Seconds to wait before killing the container").short('t'),
    Flag::int("time", "").same_as("timeout").deprecated("use --timeout instead"),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers")
        .aliases(&["container stop", "stop"])
        .args(Args::Min(1))
        .flags(FLAGS);

//! `container logs`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::bool("details", "Show extra details provided to logs"),
    Flag::bool("follow", "Follow log output").short('f'),
    Flag::string(
        "since",
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
    Flag::string("tail", "Number of lines to show from the end of the logs").short('n').default("all"),
    Flag::bool("timestamps", "Show timestamps").short('t'),
    Flag::string(
        "until",
        "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("logs", "[OPTIONS] CONTAINER", "Fetch the logs of a container")
        .aliases(&["container logs", "logs"])
        .args(Args::Exact(1))
        .flags(FLAGS);

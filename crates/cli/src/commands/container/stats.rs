//! `container stats`.

use crate::{
    command::{Args, Command},
    flag::{FORMAT_HELP, Flag},
};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Show all containers (default shows just running)").short('a'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("no-stream", "Disable streaming stats and only pull the first result"),
    Flag::bool("no-trunc", "Do not truncate output"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "stats",
    "[OPTIONS] [CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
)
.aliases(&["container stats", "stats"])
.args(Args::Any)
.flags(FLAGS);

//! `container ls`.

use crate::{
    command::Command,
    flag::{FORMAT_HELP, Flag},
};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Show all containers (default shows just running)").short('a'),
    Flag::filter("Filter output based on conditions provided").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::int("last", "Show n last created containers (includes all states)").short('n').default("-1"),
    Flag::bool("latest", "Show the latest created container (includes all states)").short('l'),
    Flag::bool("no-trunc", "Don't truncate output"),
    Flag::bool("quiet", "Only display container IDs").short('q'),
    Flag::bool("size", "Display total file sizes").short('s'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS]", "List containers")
    .other_names(&["list", "ps"])
    .aliases(&["container ls", "container list", "container ps", "ps"])
    .flags(FLAGS);

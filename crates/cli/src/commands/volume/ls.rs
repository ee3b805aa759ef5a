//! `volume ls`.

use crate::{
    command::Command,
    flag::{FORMAT_HELP, Flag},
};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values (e.g. \"dangling=true\")").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("quiet", "Only display volume names").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS]", "List volumes")
    .other_names(&["list"])
    .aliases(&["volume ls", "volume list"])
    .flags(FLAGS);

//! `network ls`.

use crate::{
    command::Command,
    flag::{FORMAT_HELP, Flag},
};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values (e.g. \"driver=bridge\")").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("no-trunc", "Do not truncate the output"),
    Flag::bool("quiet", "Only display network IDs").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS]", "List networks")
    .other_names(&["list"])
    .aliases(&["network ls", "network list"])
    .flags(FLAGS);

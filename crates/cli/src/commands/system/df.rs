//! `system df`.

use crate::{
    command::Command,
    flag::{FORMAT_HELP, Flag},
};

static FLAGS: &[Flag] = &[
    Flag::string("format", FORMAT_HELP),
    Flag::bool("verbose", "Show detailed information on space usage").short('v'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("df", "[OPTIONS]", "Show docker disk usage").flags(FLAGS);

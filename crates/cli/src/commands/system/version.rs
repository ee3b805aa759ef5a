//! `system version`.

use crate::{
    command::Command,
    flag::{Flag, INSPECT_FORMAT_HELP},
};

static FLAGS: &[Flag] = &[Flag::string("format", INSPECT_FORMAT_HELP).short('f')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("version", "[OPTIONS]", "Show the version information").flags(FLAGS);

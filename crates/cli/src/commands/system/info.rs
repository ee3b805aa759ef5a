//! `system info`.

use crate::{
    command::Command,
    flag::{Flag, INSPECT_FORMAT_HELP},
};

static FLAGS: &[Flag] = &[Flag::string("format", INSPECT_FORMAT_HELP).short('f')];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("info", "[OPTIONS]", "Display system-wide information")
    .aliases(&["system info", "info"])
    .flags(FLAGS);

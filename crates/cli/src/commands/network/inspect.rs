//! `network inspect`.

use crate::{
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
};

static FLAGS: &[Flag] = &[
    Flag::string("format", INSPECT_FORMAT_HELP).short('f'),
    Flag::bool("verbose", "Verbose output for diagnostics").short('v'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] NETWORK [NETWORK...]",
    "Display detailed information on one or more networks",
)
.args(Args::Min(1))
.flags(FLAGS);

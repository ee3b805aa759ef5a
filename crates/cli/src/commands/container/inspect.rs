//! `container inspect`.

use crate::{
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
};

static FLAGS: &[Flag] = &[
    Flag::string("format", INSPECT_FORMAT_HELP).short('f'),
    Flag::bool("size", "Display total file sizes").short('s'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Display detailed information on one or more containers",
)
.args(Args::Min(1))
.flags(FLAGS);

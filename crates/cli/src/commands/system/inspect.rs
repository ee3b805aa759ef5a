//! `inspect`.

use crate::{
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
};

static FLAGS: &[Flag] = &[
    Flag::string("format", INSPECT_FORMAT_HELP).short('f'),
    Flag::bool("size", "Display total file sizes if the type is container").short('s'),
    Flag::string("type", "Only inspect objects of the given type"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] NAME|ID [NAME|ID...]",
    "Return low-level information on Docker objects",
)
.args(Args::Min(1))
.flags(FLAGS);

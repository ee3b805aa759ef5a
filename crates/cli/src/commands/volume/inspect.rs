//! `volume inspect`.

use crate::{
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
};

static FLAGS: &[Flag] = &[Flag::string("format", INSPECT_FORMAT_HELP).short('f')];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Display detailed information on one or more volumes",
)
.args(Args::Min(1))
.flags(FLAGS);

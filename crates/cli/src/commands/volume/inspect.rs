//! `volume inspect`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
    inspect::{self, Kind},
};

static FLAGS: &[Flag] = &[Flag::string("format", INSPECT_FORMAT_HELP).short('f')];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] VOLUME [VOLUME...]",
    "Display detailed information on one or more volumes",
)
.args(Args::Min(1))
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    inspect::run(cli, Kind::Volume, m.args(), m.str("format"), false)
}

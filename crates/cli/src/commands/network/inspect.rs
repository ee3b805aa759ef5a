//! `network inspect`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
    inspect::{self, Kind},
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
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    inspect::run(cli, Kind::Network, m.args(), m.str("format"), false)
}

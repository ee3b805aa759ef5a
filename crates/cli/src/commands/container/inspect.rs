//! `container inspect`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
    inspect::{self, Kind},
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
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    inspect::run(cli, Kind::Container, m.args(), m.str("format"), m.bool("size"))
}

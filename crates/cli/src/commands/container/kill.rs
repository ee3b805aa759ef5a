//! `container kill`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    commands::container::several,
    flag::Flag,
};

static FLAGS: &[Flag] = &[Flag::string("signal", "Signal to send to the container").short('s')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("kill", "[OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers")
        .aliases(&["container kill", "kill"])
        .args(Args::Min(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    several(cli, m.args(), async |client, name| client.container_kill(name, m.str("signal")).await)
}

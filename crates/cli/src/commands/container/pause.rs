//! `container pause`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    commands::container::several,
};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("pause", "CONTAINER [CONTAINER...]", "Pause all processes within one or more containers")
        .aliases(&["container pause", "pause"])
        .args(Args::Min(1))
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    several(cli, m.args(), async |client, name| client.container_pause(name).await)
}

//! `container unpause`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    commands::container::several,
};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "unpause",
    "CONTAINER [CONTAINER...]",
    "Unpause all processes within one or more containers",
)
.aliases(&["container unpause", "unpause"])
.args(Args::Min(1))
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    several(cli, m.args(), async |client, name| client.container_unpause(name).await)
}

//! `volume rm`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[Flag::bool("force", "Force the removal of one or more volumes").short('f')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("rm", "[OPTIONS] VOLUME [VOLUME...]", "Remove one or more volumes")
        .long("Remove one or more volumes. You cannot remove a volume that is in use by a container.")
        .other_names(&["remove"])
        .aliases(&["volume rm", "volume remove"])
        .args(Args::Min(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let force = m.bool("force");
    cli.each(m.args(), |client, name| async move {
        client.volume_remove(&name, force).await?;
        Ok(name)
    })
}

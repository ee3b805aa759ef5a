//! `container prune`.

use wharf_api::container::PruneResponse;

use crate::{Cli, Matches, Result, command::Command, flag::Flag, prompt, prune};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("prune", "[OPTIONS]", "Remove all stopped containers").flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let warning = "WARNING! This will remove all stopped containers.";
    if !m.bool("force") && !prompt::confirm(warning)? {
        return Ok(());
    }
    let client = cli.client()?;
    let pruned: PruneResponse = cli.block_on(async { Ok(client.container_prune(&m.filters()).await?) })?;
    prune::report("Deleted Containers:", &pruned.containers_deleted.unwrap_or_default());
    prune::total(pruned.space_reclaimed);
    Ok(())
}

//! `network prune`.

use wharf_api::network::PruneResponse;

use crate::{Cli, Matches, Result, command::Command, flag::Flag, prompt, prune};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("prune", "[OPTIONS]", "Remove all unused networks").flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let warning = "WARNING! This will remove all custom networks not used by at least one container.";
    if !m.bool("force") && !prompt::confirm(warning)? {
        return Ok(());
    }
    let client = cli.client()?;
    let pruned: PruneResponse = cli.block_on(async { Ok(client.network_prune(&m.filters()).await?) })?;
    prune::report("Deleted Networks:", &pruned.networks_deleted.unwrap_or_default());
    Ok(())
}

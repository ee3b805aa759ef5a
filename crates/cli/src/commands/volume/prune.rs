//! `volume prune`.

use wharf_api::volume::PruneResponse;

use crate::{Cli, Error, Matches, Result, command::Command, flag::Flag, prompt, prune};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Remove all unused volumes, not just anonymous ones").short('a'),
    Flag::filter("Provide filter values (e.g. \"label=<label>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("prune", "[OPTIONS]", "Remove unused local volumes").flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let mut filters = m.filters();
    if m.bool("all") {
        if filters.contains("all") {
            let text = "conflicting options: cannot specify both --all and --filter all=1";
            return Err(Error::message(text));
        }
        filters.add("all", "true");
    }
    let warning = match m.bool("all") {
        true => "WARNING! This will remove all local volumes not used by at least one container.",
        false => "WARNING! This will remove anonymous local volumes not used by at least one container.",
    };
    if !m.bool("force") && !prompt::confirm(warning)? {
        return Ok(());
    }
    let client = cli.client()?;
    let pruned: PruneResponse = cli.block_on(async { Ok(client.volume_prune(&filters).await?) })?;
    prune::report("Deleted Volumes:", &pruned.volumes_deleted.unwrap_or_default());
    prune::total(pruned.space_reclaimed);
    Ok(())
}

//! `image prune`.

use wharf_api::image::PruneResponse;

use crate::{Cli, Matches, Result, command::Command, flag::Flag, prompt, prune};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Remove all unused images, not just dangling ones").short('a'),
    Flag::filter("Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("prune", "[OPTIONS]", "Remove unused images").flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let warning = match m.bool("all") {
        true => "WARNING! This will remove all images without at least one container associated to them.",
        false => "WARNING! This will remove all dangling images.",
    };
    if !m.bool("force") && !prompt::confirm(warning)? {
        return Ok(());
    }
    let client = cli.client()?;
    let mut filters = m.filters();
    filters.add("dangling", if m.bool("all") { "false" } else { "true" });
    let pruned: PruneResponse = cli.block_on(async { Ok(client.image_prune(&filters).await?) })?;
    prune::report("Deleted Images:", &lines(&pruned));
    prune::total(pruned.space_reclaimed);
    Ok(())
}

/// What was removed, one line each.
pub(crate) fn lines(pruned: &PruneResponse) -> Vec<String> {
    let items = pruned.images_deleted.iter().flatten();
    items
        .map(|item| match item.untagged.as_str() {
            "" => format!("deleted: {}", item.deleted),
            name => format!("untagged: {name}"),
        })
        .collect()
}

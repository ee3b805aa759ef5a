//! `builder prune`.

use serde::Deserialize;
use wharf_client::BuildPruneOptions;

use crate::{Cli, Matches, Result, command::Command, flag::Flag, print, prompt, render};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Include internal/frontend images").short('a'),
    Flag::filter("Provide filter values (e.g., \"until=24h\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
    Flag::bytes("keep-storage", "Amount of disk space to keep for cache").hidden(),
    Flag::bytes("max-used-space", "Maximum amount of disk space allowed to keep for cache"),
    Flag::bytes("min-free-space", "Target amount of free disk space after pruning").unsupported(),
    Flag::bytes("reserved-space", "Amount of disk space always allowed to keep for cache"),
    Flag::bool("verbose", "Provide a more verbose output").hidden(),
    Flag::string("builder", "Override the configured builder instance").hidden(),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("prune", "", "Remove build cache").flags(FLAGS).run(run);

/// What was removed of the build cache.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Pruned {
    pub(crate) caches_deleted: Option<Vec<String>>,
    pub(crate) space_reclaimed: u64,
}

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let all = m.bool("all");
    let warning = match all {
        true => "WARNING! This will remove all build cache.",
        false => "WARNING! This will remove all dangling build cache.",
    };
    if !m.bool("force") && !prompt::confirm(warning)? {
        return Ok(());
    }
    let keep = ["keep-storage", "max-used-space", "reserved-space"].map(|flag| m.bytes(flag));
    let options =
        BuildPruneOptions { all, keep: keep.into_iter().max().unwrap_or_default(), filters: m.filters() };
    let client = cli.client()?;
    let pruned: Pruned = cli.block_on(async { Ok(client.build_prune(&options).await?) })?;
    let deleted = pruned.caches_deleted.unwrap_or_default();
    if !deleted.is_empty() {
        print::out(&format!("ID\n{}\n", deleted.join("\n")));
    }
    print::line(&format!("Total:\t{}", render::human_size(pruned.space_reclaimed as f64)));
    Ok(())
}

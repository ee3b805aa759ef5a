//! `builder prune`.

use serde::Deserialize;
use wharf_api::system::DiskUsage;
use wharf_client::BuildPruneOptions;

use super::du;
use crate::{Cli, Matches, Result, command::Command, flag::Flag, print, prompt, render};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Include internal/frontend images").short('a'),
    Flag::filter("Provide filter values (e.g., \"until=24h\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
    Flag::bytes("keep-storage", "Amount of disk space to keep for cache").hidden(),
    Flag::bytes("max-used-space", "Maximum amount of disk space allowed to keep for cache"),
    Flag::bytes("min-free-space", "Target amount of free disk space after pruning"),
    Flag::bytes("reserved-space", "Amount of disk space always allowed to keep for cache"),
    Flag::bool("verbose", "Provide a more verbose output"),
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
    let options = BuildPruneOptions {
        all,
        reserved_space: m.bytes("reserved-space").max(m.bytes("keep-storage")),
        max_used_space: m.bytes("max-used-space"),
        min_free_space: m.bytes("min-free-space"),
        filters: m.filters(),
    };
    let client = cli.client()?;
    // What is gone cannot be described any more.
    let before: DiskUsage = cli.block_on(async { Ok(client.build_cache().await?) })?;
    let pruned: Pruned = cli.block_on(async { Ok(client.build_prune(&options).await?) })?;
    let deleted = pruned.caches_deleted.unwrap_or_default();
    let cache = before.build_cache.unwrap_or_default();
    let records: Vec<_> =
        deleted.iter().filter_map(|id| cache.iter().find(|record| record.id == *id)).collect();
    if m.bool("verbose") {
        print::out(&records.iter().map(|record| du::details(record)).collect::<String>());
    } else if !records.is_empty() {
        print::out(&du::table(&records));
    }
    print::line(&format!("Total:\t{}", render::human_size(pruned.space_reclaimed as f64)));
    Ok(())
}

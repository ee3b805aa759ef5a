//! `buildx du`.

use std::fmt::Write as _;

use wharf_api::system::{BuildCache, DiskUsage};

use crate::{Cli, Matches, Result, command::Command, flag::Flag, print, render};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values").unsupported(),
    Flag::bool("verbose", "Provide a more verbose output"),
    Flag::string("builder", "Override the configured builder instance").hidden(),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("du", "", "Disk usage").flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let client = cli.client()?;
    let usage: DiskUsage = cli.block_on(async { Ok(client.build_cache().await?) })?;
    let cache = usage.build_cache.unwrap_or_default();
    let size = |bytes: i64| render::human_size(bytes as f64);
    let mut text = String::new();
    if m.bool("verbose") {
        for record in &cache {
            let _ = write!(
                text,
                "ID:\t\t{}\nCreated at:\t{}\nMutable:\tfalse\nReclaimable:\t{}\nShared:\t\t{}\nSize:\t\t{}\n\
                 Description:\t{}\nUsage count:\t{}\nType:\t\t{}\n\n",
                record.id,
                record.created_at,
                !record.in_use,
                record.shared,
                size(record.size),
                record.description,
                record.usage_count,
                record.kind
            );
        }
    } else {
        let _ = writeln!(text, "{:<27}{:<14}{:<14}LAST ACCESSED", "ID", "RECLAIMABLE", "SIZE");
        for record in &cache {
            let used = record.last_used_at.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{:<27}{:<14}{:<14}{used}", record.id, !record.in_use, size(record.size));
        }
    }
    let sum = |wanted: &dyn Fn(&BuildCache) -> bool| {
        cache.iter().filter(|record| wanted(record)).map(|record| record.size).sum::<i64>()
    };
    let _ = writeln!(text, "Shared:\t\t{}", size(sum(&|record| record.shared)));
    let _ = writeln!(text, "Private:\t{}", size(sum(&|record| !record.shared)));
    let _ = writeln!(text, "Reclaimable:\t{}", size(sum(&|record| !record.in_use)));
    let _ = writeln!(text, "Total:\t\t{}", size(sum(&|_| true)));
    print::out(&text);
    Ok(())
}

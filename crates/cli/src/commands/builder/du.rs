//! `builder du`.

use std::fmt::Write as _;

use wharf_api::system::{BuildCache, DiskUsage};

use crate::{
    Cli, Error, Matches, Result,
    command::Command,
    flag::Flag,
    print,
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values"),
    Flag::string("format", "Format the output"),
    Flag::bool("verbose", "Shorthand for \"--format=pretty\""),
    Flag::string("builder", "Override the configured builder instance").hidden(),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("du", "", "Disk usage").flags(FLAGS).run(run);

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "ID"),
    ("Reclaimable", "RECLAIMABLE"),
    ("Size", "SIZE"),
    ("LastUsedAt", "LAST ACCESSED"),
    ("Description", "DESCRIPTION"),
];

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let client = cli.client()?;
    let usage: DiskUsage = cli.block_on(async { Ok(client.build_cache().await?) })?;
    let mut cache = usage.build_cache.unwrap_or_default();
    let filters = m.list("filter");
    for filter in &filters {
        check(filter)?;
    }
    cache.retain(|record| filters.iter().all(|filter| fits(record, filter)));
    cache.sort_by(|a, b| (a.size, &a.id).cmp(&(b.size, &b.id)));
    match m.str("format") {
        _ if m.bool("verbose") => print::out(&cache.iter().map(details).collect::<String>()),
        "pretty" => print::out(&cache.iter().map(details).collect::<String>()),
        "" | "table" => print::out(&table(&cache.iter().collect::<Vec<_>>())),
        format => {
            let format = if format == "json" { "{{json .}}" } else { format };
            return Format::new(format, "").print(HEADINGS, cache.iter().map(row));
        }
    }
    if filters.is_empty() {
        print::out(&sums(&cache));
    }
    Ok(())
}

/// The columns of records.
pub(super) fn table(cache: &[&BuildCache]) -> String {
    let mut text = format!("{:<29}{:<14}{:<11}LAST ACCESSED\n", "ID", "RECLAIMABLE", "SIZE");
    for record in cache {
        let id = format!("{}{}", record.id, if is_mutable(record) { "*" } else { "" });
        let size = format!("{}{}", size(record.size), if record.shared { "*" } else { "" });
        let _ = writeln!(text, "{id:<29}{:<14}{size:<11}{}", !record.in_use, last_used(record));
    }
    text
}

/// All that is known of a record.
pub(super) fn details(record: &BuildCache) -> String {
    let mut text = format!("ID:           {}\n", record.id);
    if !record.parents.is_empty() {
        let _ = writeln!(text, "Parents:");
        record.parents.iter().for_each(|parent| {
            let _ = writeln!(text, " - {parent}");
        });
    }
    for (name, value) in [
        ("Created at", created(record)),
        ("Mutable", is_mutable(record).to_string()),
        ("Reclaimable", (!record.in_use).to_string()),
        ("Shared", record.shared.to_string()),
        ("Size", size(record.size)),
        ("Description", record.description.clone()),
        ("Usage count", record.usage_count.to_string()),
        ("Last used", last_used(record)),
        ("Type", record.kind.clone()),
    ] {
        let _ = writeln!(text, "{:<14}{value}", format!("{name}:"));
    }
    text.push('\n');
    text
}

fn row(record: &BuildCache) -> Row {
    Row::new("*commands.duContext")
        .with("CreatedAt", created(record))
        .with("Description", record.description.clone())
        .with("ID", record.id.clone())
        .with("LastUsedAt", last_used(record))
        .with("Mutable", is_mutable(record))
        .with("Parents", &serde_json::json!(record.parents))
        .with("Reclaimable", !record.in_use)
        .with("Shared", record.shared)
        .with("Size", size(record.size))
        .with("Type", record.kind.clone())
        .with("UsageCount", record.usage_count)
}

fn sums(cache: &[BuildCache]) -> String {
    let sum = |wanted: &dyn Fn(&BuildCache) -> bool| {
        size(cache.iter().filter(|record| wanted(record)).map(|record| record.size).sum::<i64>())
    };
    let shared = cache.iter().any(|record| record.shared);
    let mut text = String::new();
    if shared {
        let _ = writeln!(text, "Shared:\t\t{}", sum(&|record| record.shared));
        let _ = writeln!(text, "Private:\t{}", sum(&|record| !record.shared));
    }
    let _ = writeln!(text, "Reclaimable:\t{}", sum(&|record| !record.in_use));
    let _ = writeln!(text, "Total:\t\t{}", sum(&|_| true));
    text
}

/// Files that change where they are, as opposed to results of steps.
fn is_mutable(record: &BuildCache) -> bool {
    record.kind != "regular"
}

fn size(bytes: i64) -> String {
    render::human_size(bytes as f64)
}

fn created(record: &BuildCache) -> String {
    let at = record.created_at.parse::<jiff::Timestamp>();
    at.map_or_else(|_| record.created_at.clone(), render::go_time_nano)
}

fn last_used(record: &BuildCache) -> String {
    let at = record.last_used_at.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    at.map(|at| render::age(at.as_second())).unwrap_or_default()
}

fn check(filter: &str) -> Result<()> {
    match filter.split('=').next().unwrap_or_default() {
        "id" | "parent" | "type" | "description" | "inuse" | "mutable" | "immutable" | "shared"
        | "private" => Ok(()),
        name => Err(Error::message(format!("invalid filter '{name}'"))),
    }
}

fn fits(record: &BuildCache, filter: &str) -> bool {
    let (name, value) = filter.split_once('=').unwrap_or((filter, ""));
    match name {
        "id" => record.id.contains(value.trim_end_matches('*')),
        "parent" => record.parents.iter().any(|parent| parent == value),
        "type" => record.kind == value,
        "description" => record.description.contains(value),
        "inuse" => record.in_use,
        "mutable" => is_mutable(record),
        "immutable" => !is_mutable(record),
        "shared" => record.shared,
        _ => !record.shared,
    }
}

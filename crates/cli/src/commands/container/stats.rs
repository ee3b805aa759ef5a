//! `container stats`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use wharf_api::{container::Summary, stats::Stats};
use wharf_client::{Client, ListOptions};

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::{FORMAT_HELP, Flag},
    print,
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Show all containers (default shows just running)").short('a'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("no-stream", "Disable streaming stats and only pull the first result"),
    Flag::bool("no-trunc", "Do not truncate output"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "stats",
    "[OPTIONS] [CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
)
.aliases(&["container stats", "stats"])
.args(Args::Any)
.flags(FLAGS)
.run(run);

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Container", "CONTAINER"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

const TABLE: &str =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// How often the terminal is redrawn.
const INTERVAL: Duration = Duration::from_millis(500);

/// The newest sample of each container, in the order of the names.
type Samples = Arc<Mutex<Vec<(String, Option<Stats>)>>>;

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let given = m.str("format");
    let config = cli.config();
    let format = Format::new(if given.is_empty() { config.text("statsFormat") } else { given }, TABLE);
    let client = cli.client()?;
    let truncate = !m.bool("no-trunc");
    cli.block_on(async {
        if m.bool("no-stream") {
            let names = names(&client, m).await?;
            let mut rows = Vec::new();
            for (name, stats) in once(&client, names).await? {
                rows.push(row(&name, &stats, truncate));
            }
            return format.print(HEADINGS, rows);
        }
        stream(&client, m, &format, truncate).await
    })
}

/// The containers named, or those that run (with `--all`, all there are).
async fn names(client: &Client, m: &Matches) -> Result<Vec<String>> {
    if !m.args().is_empty() {
        return Ok(m.args().to_vec());
    }
    let options = ListOptions { all: m.bool("all"), ..ListOptions::default() };
    let list: Vec<Summary> = client.container_list(&options).await?;
    Ok(list.into_iter().map(|container| render::truncate_id(&container.id).to_owned()).collect())
}

/// One sample of each container, all taken at the same time.
async fn once(client: &Client, names: Vec<String>) -> Result<Vec<(String, Stats)>> {
    let samples = names.into_iter().map(|name| async {
        let mut lines = client.container_stats::<Stats>(&name, false, false).await?;
        let sample = lines.next().await?.unwrap_or_default();
        Ok((name, sample))
    });
    futures_util::future::join_all(samples).await.into_iter().collect()
}

async fn stream(client: &Client, m: &Matches, format: &Format, truncate: bool) -> Result<()> {
    let samples = Samples::default();
    let mut known: BTreeMap<String, ()> = BTreeMap::new();
    let follow_all = m.args().is_empty();
    if !follow_all {
        // A wrong name is an error before anything is drawn.
        for name in m.args() {
            client.container_inspect::<serde_json::Value>(name, false).await?;
        }
    }
    loop {
        for name in names(client, m).await? {
            if known.insert(name.clone(), ()).is_none() {
                samples.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), None));
                tokio::spawn(collect(client.clone(), name, Arc::clone(&samples), follow_all));
            }
        }
        let newest = samples.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.retain(|name, ()| newest.iter().any(|(n, _)| n == name));
        let rows = newest.iter().map(|(name, stats)| match stats {
            Some(stats) => row(name, stats, truncate),
            None => waiting(name),
        });
        let text = format.render(HEADINGS, rows)?;
        // Home, every line to its end, the rest of the screen.
        print::out(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")));
        if known.is_empty() && !follow_all {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Keeps the sample of one container fresh until it is gone.
async fn collect(client: Client, name: String, samples: Samples, forget: bool) {
    let store = |sample: Option<Stats>| {
        let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = samples.iter_mut().find(|(n, _)| *n == name) {
            entry.1 = sample;
        }
    };
    if let Ok(mut lines) = client.container_stats::<Stats>(&name, true, false).await {
        while let Ok(Some(sample)) = lines.next().await {
            store(Some(sample));
        }
    }
    if forget {
        samples.lock().unwrap_or_else(PoisonError::into_inner).retain(|(n, _)| *n != name);
    } else {
        store(None);
    }
}

fn waiting(name: &str) -> Row {
    let unknown = |row: Row, names: &[&'static str]| names.iter().fold(row, |row, name| row.with(name, "--"));
    let row = Row::new("*container.statsContext").with("Container", name);
    unknown(row, &["ID", "Name", "CPUPerc", "MemPerc", "PIDs"])
        .with("MemUsage", "-- / --")
        .with("NetIO", "--")
        .with("BlockIO", "--")
}

fn row(container: &str, stats: &Stats, truncate: bool) -> Row {
    let (used, limit) = (memory(stats), stats.memory_stats.limit);
    let share = if limit == 0 { 0.0 } else { used as f64 / limit as f64 * 100.0 };
    let received: u64 = stats.networks.values().map(|n| n.rx_bytes).sum();
    let sent: u64 = stats.networks.values().map(|n| n.tx_bytes).sum();
    let pair =
        |a: u64, b: u64| format!("{} / {}", render::human_size_3(a as f64), render::human_size_3(b as f64));
    let bytes = |b: u64| render::bytes_size(b as f64);
    let id = if truncate { render::truncate_id(&stats.id) } else { &stats.id };
    Row::new("*container.statsContext")
        .with("Container", container)
        .with("ID", id)
        .with("Name", stats.name.strip_prefix('/').unwrap_or(&stats.name))
        .with("CPUPerc", format!("{:.2}%", processor(stats)))
        .with("MemUsage", format!("{} / {}", bytes(used), bytes(limit)))
        .with("MemPerc", format!("{share:.2}%"))
        .with("NetIO", pair(received, sent))
        .with("BlockIO", pair(blocks(stats, 'r'), blocks(stats, 'w')))
        .with("PIDs", stats.pids_stats.current.to_string())
}

/// The share of all processors between the two readings of a sample.
fn processor(stats: &Stats) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let used = now.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let system = now.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let count = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.len() as f64,
        count => f64::from(count),
    };
    if used > 0.0 && system > 0.0 { used / system * count * 100.0 } else { 0.0 }
}

/// Memory without the part of the page cache that can be dropped at once.
fn memory(stats: &Stats) -> u64 {
    let memory = &stats.memory_stats;
    ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|name| memory.stats.get(*name).filter(|cache| **cache < memory.usage))
        .map_or(memory.usage, |cache| memory.usage - cache)
}

fn blocks(stats: &Stats, operation: char) -> u64 {
    let entries = stats.blkio_stats.io_service_bytes_recursive.iter().flatten();
    entries.filter(|e| e.op.to_ascii_lowercase().starts_with(operation)).map(|e| e.value).sum()
}

//! What a group has consumed.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Cgroup, Version, read};
use crate::error::Result;

/// A reading of all counters. What the host cannot tell is zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Memory.
    pub memory: MemoryStats,
    /// Processor time.
    pub cpu: CpuStats,
    /// Processes and threads.
    pub pids: PidsStats,
    /// Block devices.
    pub blkio: BlkioStats,
    /// Huge pages by size (`2MB`).
    pub hugetlb: BTreeMap<String, HugetlbStats>,
}

/// Memory counters, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use now, page cache included.
    pub usage: u64,
    /// The most ever in use.
    pub max_usage: u64,
    /// The limit; a huge number when there is none.
    pub limit: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
    /// Processes killed for lack of memory.
    pub oom_kills: u64,
    /// Every line of `memory.stat`.
    pub stat: BTreeMap<String, u64>,
}

/// Processor time counters, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// Total time.
    pub usage: u64,
    /// Time by processor; empty on v2.
    pub per_cpu: Vec<u64>,
    /// Time in user mode.
    pub user: u64,
    /// Time in kernel mode.
    pub system: u64,
    /// Enforcement periods that have passed.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled_periods: u64,
    /// Time spent throttled.
    pub throttled_time: u64,
}

/// Process counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Threads now.
    pub current: u64,
    /// The limit; 0 when there is none.
    pub limit: u64,
}

/// One counter of a block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlkioEntry {
    /// Device major number.
    pub major: u64,
    /// Device minor number.
    pub minor: u64,
    /// Operation, as the kernel names it (`Read`, `Write`, …; lower case on v2).
    pub op: String,
    /// Bytes or operations.
    pub value: u64,
}

/// Block device counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlkioStats {
    /// Bytes transferred.
    pub service_bytes: Vec<BlkioEntry>,
    /// Operations.
    pub serviced: Vec<BlkioEntry>,
}

/// Huge page counters, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HugetlbStats {
    /// In use now.
    pub usage: u64,
    /// The most ever in use.
    pub max_usage: u64,
    /// Failed allocations.
    pub failcnt: u64,
}

impl Cgroup {
    /// Reads all counters.
    pub fn stats(&self) -> Result<Stats> {
        Ok(match (self.version, &self.unified) {
            (Version::V2, Some(dir)) => v2(dir),
            _ => self.v1_stats(),
        })
    }

    fn v1_stats(&self) -> Stats {
        let mut stats = Stats::default();
        if let Some(dir) = self.dir("memory") {
            stats.memory = MemoryStats {
                usage: number(dir, "memory.usage_in_bytes"),
                max_usage: number(dir, "memory.max_usage_in_bytes"),
                limit: number(dir, "memory.limit_in_bytes"),
                failcnt: number(dir, "memory.failcnt"),
                oom_kills: value_of(dir, "memory.oom_control", "oom_kill"),
                stat: table(dir, "memory.stat"),
            };
        }
        if let Some(dir) = self.dir("cpuacct") {
            stats.cpu = cpuacct(dir);
        }
        if let Some(dir) = self.dir("cpu") {
            let table = table(dir, "cpu.stat");
            let get = |key: &str| table.get(key).copied().unwrap_or_default();
            stats.cpu.periods = get("nr_periods");
            stats.cpu.throttled_periods = get("nr_throttled");
            stats.cpu.throttled_time = get("throttled_time");
        }
        if let Some(dir) = self.dir("pids") {
            stats.pids = PidsStats { current: number(dir, "pids.current"), limit: number(dir, "pids.max") };
        }
        if let Some(dir) = self.dir("blkio") {
            // With the bfq scheduler the recursive counters are its own; without, only the throttling layer counts.
            let first = |files: [&str; 2]| {
                files
                    .iter()
                    .map(|file| blkio_table(dir, file))
                    .find(|list| !list.is_empty())
                    .unwrap_or_default()
            };
            stats.blkio = BlkioStats {
                service_bytes: first([
                    "blkio.bfq.io_service_bytes_recursive",
                    "blkio.throttle.io_service_bytes_recursive",
                ]),
                serviced: first(["blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"]),
            };
        }
        stats
    }

    /// How many processes of the group were killed for lack of memory.
    pub fn oom_kills(&self) -> u64 {
        match (self.dir("memory"), &self.unified) {
            (Some(dir), _) => value_of(dir, "memory.oom_control", "oom_kill"),
            (None, Some(dir)) => value_of(dir, "memory.events", "oom_kill"),
            (None, None) => 0,
        }
    }
}

fn cpuacct(dir: &Path) -> CpuStats {
    let mut stats = CpuStats { usage: number(dir, "cpuacct.usage"), ..CpuStats::default() };
    let list = read(dir, "cpuacct.usage_percpu").unwrap_or_default();
    stats.per_cpu = list.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let split = table(dir, "cpuacct.stat");
    // In ticks of a hundredth of a second, whatever the kernel's own tick is.
    let nanoseconds = |key: &str| split.get(key).copied().unwrap_or_default() * 10_000_000;
    (stats.user, stats.system) = (nanoseconds("user"), nanoseconds("system"));
    stats
}

fn v2(dir: &Path) -> Stats {
    let memory_stat = table(dir, "memory.stat");
    let cpu = table(dir, "cpu.stat");
    let nanoseconds = |key: &str| cpu.get(key).copied().unwrap_or_default() * 1000;
    let mut stats = Stats {
        memory: MemoryStats {
            usage: number(dir, "memory.current"),
            max_usage: number(dir, "memory.peak"),
            limit: read(dir, "memory.max").map_or(0, |text| text.parse().unwrap_or(u64::MAX)),
            failcnt: value_of(dir, "memory.events", "max"),
            oom_kills: value_of(dir, "memory.events", "oom_kill"),
            stat: memory_stat,
        },
        cpu: CpuStats {
            usage: nanoseconds("usage_usec"),
            per_cpu: Vec::new(),
            user: nanoseconds("user_usec"),
            system: nanoseconds("system_usec"),
            periods: cpu.get("nr_periods").copied().unwrap_or_default(),
            throttled_periods: cpu.get("nr_throttled").copied().unwrap_or_default(),
            throttled_time: nanoseconds("throttled_usec"),
        },
        pids: PidsStats { current: number(dir, "pids.current"), limit: number(dir, "pids.max") },
        ..Stats::default()
    };
    io_stat(&read(dir, "io.stat").unwrap_or_default(), &mut stats.blkio);
    stats
}

/// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn io_stat(text: &str, stats: &mut BlkioStats) {
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for word in words {
            let Some((key, value)) = word.split_once('=') else { continue };
            let (list, op) = match key {
                "rbytes" => (&mut stats.service_bytes, "read"),
                "wbytes" => (&mut stats.service_bytes, "write"),
                "rios" => (&mut stats.serviced, "read"),
                "wios" => (&mut stats.serviced, "write"),
                _ => continue,
            };
            list.push(BlkioEntry {
                major,
                minor,
                op: op.to_owned(),
                value: value.parse().unwrap_or_default(),
            });
        }
    }
}

/// Lines of `8:0 Read 42`; the last line is a total.
fn blkio_table(dir: &Path, file: &str) -> Vec<BlkioEntry> {
    let text = read(dir, file).unwrap_or_default();
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = words.next().and_then(device)?;
        let (op, value) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some(BlkioEntry { major, minor, op, value })
    };
    text.lines().filter_map(entry).collect()
}

fn device(word: &str) -> Option<(u64, u64)> {
    let (major, minor) = word.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A file with one number; 0 for `max` or a missing file.
fn number(dir: &Path, file: &str) -> u64 {
    read(dir, file).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A file with a name and a number per line.
fn table(dir: &Path, file: &str) -> BTreeMap<String, u64> {
    let text = read(dir, file).unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn value_of(dir: &Path, file: &str, key: &str) -> u64 {
    table(dir, file).get(key).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn io_lines() {
        let mut stats = BlkioStats::default();
        io_stat("8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\nbroken\n", &mut stats);
        let show = |list: &[BlkioEntry]| {
            list.iter()
                .map(|e| format!("{}:{} {} {}", e.major, e.minor, e.op, e.value))
                .collect::<Vec<_>>()
                .join(", ")
        };
        expect!["8:0 read 4096, 8:0 write 0 | 8:0 read 1, 8:0 write 0"].assert_eq(&format!(
            "{} | {}",
            show(&stats.service_bytes),
            show(&stats.serviced)
        ));
    }
}

//! `stats`: what a container uses at this moment.

use std::{collections::BTreeMap, fs, path::PathBuf};

use jiff::Timestamp;
use wharf_api::{
    stats::{
        BlkioEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats, Stats,
        ThrottlingData,
    },
    time::{ZERO, rfc3339_nano},
};
use wharf_runtime::Cgroup;

use super::Container;
use crate::{Engine, Error, Result};

/// Clock ticks a second in `/proc/stat`; the kernel's `USER_HZ`, fixed by its interface.
const NANOS_PER_TICK: u64 = 10_000_000;

impl Engine {
    /// A sample of the container's resource use; without values if it does not run.
    ///
    /// # Errors
    /// No such container, or its cgroup cannot be read.
    pub fn container_stats(&self, name: &str) -> Result<Stats> {
        let container = self.containers.find(name)?.get();
        let mut stats = Stats {
            name: format!("/{}", container.name),
            id: container.id.clone(),
            read: ZERO.to_owned(),
            preread: ZERO.to_owned(),
            ..Stats::default()
        };
        if !container.state.status.has_process() {
            return Ok(stats);
        }
        let failed = |error: wharf_runtime::Error| Error::system(error.to_string()).caused_by(error);
        let sample =
            Cgroup::open(&self.cgroup_path(&container)).and_then(|group| group.stats()).map_err(failed)?;
        stats.read = rfc3339_nano(Timestamp::now());
        stats.pids_stats = PidsStats { current: sample.pids.current, limit: sample.pids.limit };
        stats.cpu_stats = self.cpu(&sample.cpu);
        stats.memory_stats = memory(sample.memory);
        let entries = |entries: Vec<wharf_runtime::BlkioEntry>| {
            let entry = |entry: wharf_runtime::BlkioEntry| BlkioEntry {
                major: entry.major,
                minor: entry.minor,
                op: entry.op,
                value: entry.value,
            };
            Some(entries.into_iter().map(entry).collect())
        };
        stats.blkio_stats = BlkioStats {
            io_service_bytes_recursive: entries(sample.blkio.service_bytes),
            io_serviced_recursive: entries(sample.blkio.serviced),
            ..BlkioStats::default()
        };
        stats.networks = interfaces(container.state.pid);
        Ok(stats)
    }

    fn cpu(&self, sample: &wharf_runtime::CpuStats) -> CpuStats {
        CpuStats {
            cpu_usage: CpuUsage {
                total_usage: sample.usage,
                percpu_usage: sample.per_cpu.clone(),
                usage_in_kernelmode: sample.system,
                usage_in_usermode: sample.user,
            },
            system_cpu_usage: host_cpu(),
            online_cpus: u32::try_from(self.cpus).unwrap_or(u32::MAX),
            throttling_data: ThrottlingData {
                periods: sample.periods,
                throttled_periods: sample.throttled_periods,
                throttled_time: sample.throttled_time,
            },
        }
    }

    /// Path of the container's cgroup below each hierarchy's root.
    pub(super) fn cgroup_path(&self, container: &Container) -> PathBuf {
        let own = &container.host_config.resources.cgroup_parent;
        let parent = if own.is_empty() { &self.config.cgroup_parent } else { own };
        PathBuf::from(format!("/{}/{}", parent.trim_matches('/'), container.id))
    }
}

fn memory(sample: wharf_runtime::MemoryStats) -> MemoryStats {
    // Without a limit the kernel shows a number near the largest; clients expect the host's memory instead.
    let total = rustix::system::sysinfo().totalram;
    MemoryStats {
        usage: sample.usage,
        max_usage: sample.max_usage,
        stats: sample.stat,
        failcnt: sample.failcnt,
        limit: if sample.limit == 0 { total } else { sample.limit.min(total) },
    }
}

/// Processor time the whole host has spent, in nanoseconds.
fn host_cpu() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks =
        first.split_whitespace().skip(1).take(7).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    ticks * NANOS_PER_TICK
}

/// Traffic of the interfaces in the network namespace of `pid`, see proc_net(5).
fn interfaces(pid: i32) -> BTreeMap<String, NetworkStats> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let line = |line: &str| {
        let (name, values) = line.split_once(':')?;
        let values: Vec<u64> = values.split_whitespace().filter_map(|value| value.parse().ok()).collect();
        let [
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = values[..]
        else {
            return None;
        };
        let stats = NetworkStats {
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        };
        Some((name.trim().to_owned(), stats)).filter(|(name, _)| name != "lo")
    };
    text.lines().filter_map(line).collect()
}

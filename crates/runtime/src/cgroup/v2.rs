//! Resource limits in the files of cgroup v2.

use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxRdma, LinuxResources};

use super::{Cgroup, read, write};
use crate::error::{Context, Error, Result};

/// Writes every limit that is set.
pub(super) fn apply(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let dir = unified(cgroup)?;
    for (file, value) in values(resources)? {
        write(dir, &file, &value)?;
    }
    if let Some(block) = resources.block_io() {
        apply_weight(dir, block)?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        if file.contains('/') {
            return Err(Error::config(format!("unified resource {file:?} must be a file name (no slashes)")));
        }
        write(dir, file, value)?;
    }
    Ok(())
}

fn unified(cgroup: &Cgroup) -> Result<&Path> {
    cgroup.unified.as_deref().ok_or_else(|| Error::setup("cgroup v2 is not mounted"))
}

/// Turns on the controllers for the group: each ancestor has to pass them down. With an empty list, all there are.
pub(super) fn enable_controllers(cgroup: &Cgroup, wanted: &[&str]) -> Result<()> {
    let dir = unified(cgroup)?;
    let depth = cgroup.path.components().count().saturating_sub(1);
    let mut ancestors: Vec<&Path> = dir.ancestors().skip(1).take(depth).collect();
    ancestors.reverse();
    for ancestor in ancestors {
        let available =
            read(ancestor, "cgroup.controllers").setup(|| format!("read {}", ancestor.display()))?;
        let enabled =
            read(ancestor, "cgroup.subtree_control").setup(|| format!("read {}", ancestor.display()))?;
        let enabled: Vec<&str> = enabled.split(' ').collect();
        let missing = available
            .split(' ')
            .filter(|c| !c.is_empty() && !enabled.contains(c) && (wanted.is_empty() || wanted.contains(c)));
        let missing: Vec<String> = missing.map(|controller| format!("+{controller}")).collect();
        if missing.is_empty()
            || super::try_write(ancestor, "cgroup.subtree_control", &missing.join(" ")).is_ok()
        {
            continue;
        }
        // One controller that cannot be delegated (cpu with real-time processes, say) must not take the others along;
        // a limit that then has no file fails when it is written.
        for controller in missing {
            let _ = super::try_write(ancestor, "cgroup.subtree_control", &controller);
        }
    }
    Ok(())
}

/// The files and values of everything but the I/O weight, which depends on the kernel.
fn values(resources: &LinuxResources) -> Result<Vec<(String, String)>> {
    let mut values = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_values(memory, &mut values)?;
    }
    if let Some(cpu) = resources.cpu() {
        cpu_values(cpu, &mut values);
    }
    if let Some(pids) = resources.pids()
        && pids.limit() != 0
    {
        values.push(("pids.max".to_owned(), max_or(pids.limit())));
    }
    if let Some(block) = resources.block_io() {
        for (key, devices) in [
            ("rbps", block.throttle_read_bps_device()),
            ("wbps", block.throttle_write_bps_device()),
            ("riops", block.throttle_read_iops_device()),
            ("wiops", block.throttle_write_iops_device()),
        ] {
            for device in devices.iter().flatten() {
                let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
                values.push((
                    "io.max".to_owned(),
                    format!("{}:{} {key}={rate}", device.major(), device.minor()),
                ));
            }
        }
    }
    values.extend(hugetlb_values(resources));
    for (device, limit) in resources.rdma().iter().flatten() {
        values.push(("rdma.max".to_owned(), rdma_line(device, limit)));
    }
    Ok(values)
}

fn max_or(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn memory_values(memory: &LinuxMemory, values: &mut Vec<(String, String)>) -> Result<()> {
    let limit = memory.limit().filter(|value| *value != 0);
    if let Some(total) = memory.swap().filter(|value| *value != 0) {
        // The specification counts memory and swap together, the kernel only swap.
        let swap = match limit {
            _ if total < 0 => -1,
            Some(limit) if limit > 0 && total >= limit => total - limit,
            _ => return Err(Error::config("memory+swap limit should be >= memory limit")),
        };
        values.push(("memory.swap.max".to_owned(), max_or(swap)));
    }
    if let Some(limit) = limit {
        values.push(("memory.max".to_owned(), max_or(limit)));
    }
    if let Some(low) = memory.reservation().filter(|value| *value != 0) {
        values.push(("memory.low".to_owned(), max_or(low)));
    }
    Ok(())
}

fn cpu_values(cpu: &LinuxCpu, values: &mut Vec<(String, String)>) {
    let mut push = |file: &str, value: String| values.push((file.to_owned(), value));
    if let Some(idle) = cpu.idle() {
        push("cpu.idle", idle.to_string());
    }
    if let Some(shares) = cpu.shares().filter(|value| *value != 0) {
        push("cpu.weight", cpu_weight(shares).to_string());
    }
    let quota = cpu.quota().filter(|value| *value != 0);
    let period = cpu.period().filter(|value| *value != 0);
    if quota.is_some() || period.is_some() {
        push("cpu.max", format!("{} {}", max_or(quota.unwrap_or(-1)), period.unwrap_or(100_000)));
    }
    if let Some(burst) = cpu.burst() {
        push("cpu.max.burst", burst.to_string());
    }
    for (file, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            push(file, value.to_owned());
        }
    }
}

/// v1 shares (2 to 262144) on the v2 scale (1 to 10000), by the formula all runtimes use.
fn cpu_weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// v1 block weight (10 to 1000) on the scale of `io.weight` (1 to 10000).
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990
}

fn apply_weight(dir: &Path, block: &LinuxBlockIo) -> Result<()> {
    // The bfq scheduler keeps the v1 scale in a file of its own.
    let bfq = dir.join("io.bfq.weight").exists();
    let (file, scale): (_, fn(u16) -> u64) =
        if bfq { ("io.bfq.weight", u64::from) } else { ("io.weight", io_weight) };
    if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
        let value = if bfq { scale(weight).to_string() } else { format!("default {}", scale(weight)) };
        write(dir, file, &value)?;
    }
    for device in block.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            write(dir, file, &format!("{}:{} {}", device.major(), device.minor(), scale(weight)))?;
        }
    }
    Ok(())
}

fn hugetlb_values(resources: &LinuxResources) -> Vec<(String, String)> {
    let limits = resources.hugepage_limits().as_deref().unwrap_or_default();
    limits.iter().map(|l| (format!("hugetlb.{}.max", l.page_size()), l.limit().to_string())).collect()
}

/// Writes the huge page limits, which live here on a hybrid host too.
pub(super) fn apply_hugetlb(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let dir = unified(cgroup)?;
    hugetlb_values(resources).iter().try_for_each(|(file, value)| write(dir, file, value))
}

/// A line of `rdma.max`.
pub(super) fn rdma_line(device: &str, limit: &LinuxRdma) -> String {
    let value = |limit: Option<u32>| limit.map_or("max".to_owned(), |n| n.to_string());
    format!("{device} hca_handle={} hca_object={}", value(limit.hca_handles()), value(limit.hca_objects()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn lines(resources: &str) -> String {
        let resources: LinuxResources = serde_json::from_str(resources).unwrap();
        values(&resources).unwrap().iter().map(|(file, value)| format!("{file} {value}\n")).collect()
    }

    #[test]
    fn limits_become_files() {
        expect![[r#"
            memory.swap.max 33554432
            memory.max 33554432
            memory.low 1048576
            cpu.weight 39
            cpu.max 50000 100000
            cpuset.cpus 0-1
            pids.max max
            io.max 8:0 rbps=1048576
            hugetlb.2MB.max 4194304
        "#]]
        .assert_eq(&lines(
            r#"{"memory":{"limit":33554432,"swap":67108864,"reservation":1048576},
                "cpu":{"shares":1024,"quota":50000,"period":100000,"cpus":"0-1"},"pids":{"limit":-1},
                "blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1048576}]},
                "hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#,
        ));
        expect![[r#"
            cpu.max max 50000
        "#]]
        .assert_eq(&lines(r#"{"cpu":{"period":50000}}"#));
    }

    #[test]
    fn weights() {
        assert_eq!([cpu_weight(0), cpu_weight(2), cpu_weight(262_144)], [1, 1, 10_000]);
        assert_eq!([io_weight(10), io_weight(500), io_weight(1000)], [1, 4950, 10_000]);
    }
}

//! Resource limits in the files of v1 controllers.

use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};
use wharf_sys::Errno;

use super::{Cgroup, read, try_write, write};
use crate::error::{Context, Error, Result};

/// Writes every limit that is set.
pub(super) fn apply(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    if resources.unified().as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(Error::config("cannot set unified resources on a host without cgroup v2"));
    }
    if let Some(memory) = resources.memory() {
        apply_memory(cgroup, memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        apply_cpu(cgroup, cpu)?;
        apply_cpuset(cgroup, cpu)?;
    }
    if let Some(pids) = resources.pids()
        && pids.limit() != 0
    {
        let limit = if pids.limit() < 0 { "max".to_owned() } else { pids.limit().to_string() };
        set(cgroup, "pids", "pids.max", &limit)?;
    }
    if let Some(block) = resources.block_io() {
        apply_block(cgroup, block)?;
    }
    apply_hugetlb(cgroup, resources)?;
    if let Some(network) = resources.network() {
        if let Some(class) = network.class_id().filter(|class| *class != 0) {
            set(cgroup, "net_cls", "net_cls.classid", &class.to_string())?;
        }
        for priority in network.priorities().iter().flatten() {
            let line = format!("{} {}", priority.name(), priority.priority());
            set(cgroup, "net_prio", "net_prio.ifpriomap", &line)?;
        }
    }
    for (device, limit) in resources.rdma().iter().flatten() {
        set(cgroup, "rdma", "rdma.max", &super::v2::rdma_line(device, limit))?;
    }
    Ok(())
}

/// Writes a value to a controller's file; a limit on a controller that is not mounted is an error.
fn set(cgroup: &Cgroup, controller: &str, file: &str, value: &str) -> Result<()> {
    match cgroup.dir(controller) {
        Some(dir) => write(dir, file, value),
        None => {
            Err(Error::setup(format!("cannot set {file}: cgroup controller {controller} is not mounted")))
        }
    }
}

fn apply_memory(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<()> {
    let limit = memory.limit().filter(|limit| *limit != 0);
    let swap = memory.swap().filter(|swap| *swap != 0);
    let total = |value: i64| set(cgroup, "memory", "memory.memsw.limit_in_bytes", &value.to_string());
    let plain = |value: i64| set(cgroup, "memory", "memory.limit_in_bytes", &value.to_string());
    match (limit, swap) {
        // The total may never be below the limit, so their order depends on which way they move.
        (Some(limit), Some(swap)) => {
            let current = cgroup.dir("memory").and_then(|dir| read(dir, "memory.limit_in_bytes").ok());
            let current = current.and_then(|text| text.parse::<i64>().ok()).unwrap_or(i64::MAX);
            if swap < 0 || current < swap {
                total(swap)?;
                plain(limit)?;
            } else {
                plain(limit)?;
                total(swap)?;
            }
        }
        (Some(limit), None) => plain(limit)?,
        (None, Some(swap)) => total(swap)?,
        (None, None) => {}
    }
    if let Some(reservation) = memory.reservation().filter(|value| *value != 0) {
        set(cgroup, "memory", "memory.soft_limit_in_bytes", &reservation.to_string())?;
    }
    if let Some(tcp) = memory.kernel_tcp().filter(|value| *value != 0) {
        set(cgroup, "memory", "memory.kmem.tcp.limit_in_bytes", &tcp.to_string())?;
    }
    if memory.disable_oom_killer() == Some(true) {
        set(cgroup, "memory", "memory.oom_control", "1")?;
    }
    match memory.swappiness() {
        Some(value) if value <= 100 => set(cgroup, "memory", "memory.swappiness", &value.to_string()),
        // -1 as an unsigned number: leave it to the kernel.
        None | Some(u64::MAX) => Ok(()),
        Some(value) => {
            Err(Error::config(format!("invalid memory swappiness value: {value} (valid range is 0-100)")))
        }
    }
}

fn apply_cpu(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    let set = |file: &str, value: String| set(cgroup, "cpu", file, &value);
    if let Some(shares) = cpu.shares().filter(|value| *value != 0) {
        set("cpu.shares", shares.to_string())?;
    }
    if let Some(period) = cpu.realtime_period().filter(|value| *value != 0) {
        set("cpu.rt_period_us", period.to_string())?;
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|value| *value != 0) {
        set("cpu.rt_runtime_us", runtime.to_string())?;
    }
    apply_quota(cgroup, cpu)?;
    if let Some(burst) = cpu.burst() {
        set("cpu.cfs_burst_us", burst.to_string())?;
    }
    match cpu.idle() {
        Some(idle) => set("cpu.idle", idle.to_string()),
        None => Ok(()),
    }
}

/// The kernel refuses a period that would make the present quota too large, so either may have to go first.
fn apply_quota(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    let period = cpu.period().filter(|value| *value != 0).map(|value| value.to_string());
    let quota = cpu.quota().filter(|value| *value != 0).map(|value| value.to_string());
    if period.is_none() && quota.is_none() {
        return Ok(());
    }
    let Some(dir) = cgroup.dir("cpu") else {
        return Err(Error::setup("cannot set a cpu quota: cgroup controller cpu is not mounted"));
    };
    let mut later = None;
    if let Some(period) = &period {
        match try_write(dir, "cpu.cfs_period_us", period) {
            Err(Errno::INVAL) if quota.is_some() => later = Some(period),
            result => result
                .setup(|| format!("failed to write {period:?} to {}/cpu.cfs_period_us", dir.display()))?,
        }
    }
    if let Some(quota) = &quota {
        write(dir, "cpu.cfs_quota_us", quota)?;
    }
    match later {
        Some(period) => write(dir, "cpu.cfs_period_us", period),
        None => Ok(()),
    }
}

fn apply_cpuset(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<()> {
    for (file, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            set(cgroup, "cpuset", file, value)?;
        }
    }
    Ok(())
}

fn apply_block(cgroup: &Cgroup, block: &LinuxBlockIo) -> Result<()> {
    let set = |file: &str, value: &str| set(cgroup, "blkio", file, value);
    let any = |plain: &'static str, bfq: &'static str| {
        cgroup.dir("blkio").map_or(plain, |dir| if dir.join(plain).exists() { plain } else { bfq })
    };
    if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
        set(any("blkio.weight", "blkio.bfq.weight"), &weight.to_string())?;
    }
    for device in block.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let line = format!("{}:{} {weight}", device.major(), device.minor());
            set(any("blkio.weight_device", "blkio.bfq.weight_device"), &line)?;
        }
    }
    for (file, devices) in [
        ("blkio.throttle.read_bps_device", block.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", block.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", block.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", block.throttle_write_iops_device()),
    ] {
        for device in devices.iter().flatten() {
            set(file, &format!("{}:{} {}", device.major(), device.minor(), device.rate()))?;
        }
    }
    Ok(())
}

fn apply_hugetlb(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    let limits = resources.hugepage_limits().as_deref().unwrap_or_default();
    if limits.is_empty() {
        return Ok(());
    }
    if cgroup.dir("hugetlb").is_none() && cgroup.unified.is_some() {
        super::v2::enable_controllers(cgroup, &["hugetlb"])?;
        return super::v2::apply_hugetlb(cgroup, resources);
    }
    for limit in limits {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size());
        set(cgroup, "hugetlb", &file, &limit.limit().to_string())?;
    }
    Ok(())
}

/// A new cpuset group is empty and takes no process until it has the processors and memory nodes of its parent.
pub(super) fn inherit_cpuset(dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let current = read(dir, file).setup(|| format!("read {}/{file}", dir.display()))?;
        if !current.is_empty() {
            continue;
        }
        let Some(parent) = dir.parent() else { continue };
        let mut value = read(parent, file).setup(|| format!("read {}/{file}", parent.display()))?;
        if value.is_empty() {
            inherit_cpuset(parent)?;
            value = read(parent, file).setup(|| format!("read {}/{file}", parent.display()))?;
        }
        write(dir, file, &value)?;
    }
    Ok(())
}

//! Limits: the host configuration as cgroup resources.

use std::{fs, os::unix::fs::MetadataExt};

use rustix::fs::{major, minor};
use wharf_api::container::{HostConfig, ThrottleDevice, WeightDevice};
use wharf_oci::OciSpecError;
use wharf_oci::runtime::{
    LinuxBlockIo, LinuxBlockIoBuilder, LinuxCpu, LinuxCpuBuilder, LinuxDevice, LinuxDeviceCgroup,
    LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxMemory, LinuxMemoryBuilder, LinuxPidsBuilder,
    LinuxResources, LinuxResourcesBuilder, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
    LinuxWeightDevice, LinuxWeightDeviceBuilder,
};

/// Period of the CPU quota that `--cpus` uses, in microseconds.
const CPU_PERIOD: i64 = 100_000;

/// The limits of `host`, and access to `devices` (with their permissions, such as `rwm`).
pub(crate) fn resources(
    host: &HostConfig,
    devices: &[(LinuxDevice, String)],
) -> Result<LinuxResources, OciSpecError> {
    let mut resources = LinuxResourcesBuilder::default().devices(device_rules(host, devices)?).build()?;
    resources.set_memory(Some(memory(host)?)).set_cpu(Some(cpu(host)?)).set_block_io(Some(block_io(host)?));
    if let Some(limit) = host.resources.pids_limit.filter(|limit| *limit != 0) {
        resources.set_pids(Some(LinuxPidsBuilder::default().limit(limit).build()?));
    }
    Ok(resources)
}

fn memory(host: &HostConfig) -> Result<LinuxMemory, OciSpecError> {
    let mut memory = LinuxMemoryBuilder::default().build()?;
    let set = |value: i64| (value != 0).then_some(value);
    memory
        .set_limit(set(host.resources.memory))
        .set_swap(set(host.resources.memory_swap))
        .set_reservation(set(host.resources.memory_reservation));
    memory.set_swappiness(host.resources.memory_swappiness.and_then(|value| u64::try_from(value).ok()));
    memory.set_disable_oom_killer(host.resources.oom_kill_disable);
    Ok(memory)
}

fn cpu(host: &HostConfig) -> Result<LinuxCpu, OciSpecError> {
    let mut cpu = LinuxCpuBuilder::default().build()?;
    let set = |value: i64| u64::try_from(value).ok().filter(|value| *value != 0);
    let (quota, period) = if host.resources.nano_cpus > 0 {
        (host.resources.nano_cpus / (1_000_000_000 / CPU_PERIOD), CPU_PERIOD)
    } else {
        (host.resources.cpu_quota, host.resources.cpu_period)
    };
    cpu.set_shares(set(host.resources.cpu_shares))
        .set_period(set(period))
        .set_quota((quota != 0).then_some(quota));
    cpu.set_realtime_period(set(host.resources.cpu_realtime_period));
    cpu.set_realtime_runtime(
        (host.resources.cpu_realtime_runtime != 0).then_some(host.resources.cpu_realtime_runtime),
    );
    cpu.set_cpus(Some(host.resources.cpuset_cpus.clone()).filter(|cpus| !cpus.is_empty()));
    cpu.set_mems(Some(host.resources.cpuset_mems.clone()).filter(|mems| !mems.is_empty()));
    Ok(cpu)
}

fn block_io(host: &HostConfig) -> Result<LinuxBlockIo, OciSpecError> {
    let mut io = LinuxBlockIoBuilder::default().build()?;
    io.set_weight((host.resources.blkio_weight != 0).then_some(host.resources.blkio_weight));
    let weights = weight_devices(host.resources.blkio_weight_device.as_deref().unwrap_or_default())?;
    io.set_weight_device((!weights.is_empty()).then_some(weights));
    io.set_throttle_read_bps_device(throttles(host.resources.blkio_device_read_bps.as_deref())?);
    io.set_throttle_write_bps_device(throttles(host.resources.blkio_device_write_bps.as_deref())?);
    io.set_throttle_read_iops_device(throttles(host.resources.blkio_device_read_iops.as_deref())?);
    io.set_throttle_write_iops_device(throttles(host.resources.blkio_device_write_iops.as_deref())?);
    Ok(io)
}

/// Device number of the node at `path`; create has checked that it exists.
fn device_number(path: &str) -> Option<(i64, i64)> {
    let device = fs::metadata(path).ok()?.rdev();
    Some((i64::from(major(device)), i64::from(minor(device))))
}

fn weight_devices(wanted: &[WeightDevice]) -> Result<Vec<LinuxWeightDevice>, OciSpecError> {
    let build = |device: &WeightDevice| {
        let (major, minor) = device_number(&device.path)?;
        Some(LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(device.weight).build())
    };
    wanted.iter().filter_map(build).collect()
}

fn throttles(wanted: Option<&[ThrottleDevice]>) -> Result<Option<Vec<LinuxThrottleDevice>>, OciSpecError> {
    let build = |device: &ThrottleDevice| {
        let (major, minor) = device_number(&device.path)?;
        Some(LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(device.rate).build())
    };
    let devices: Vec<_> = wanted.unwrap_or_default().iter().filter_map(build).collect::<Result<_, _>>()?;
    Ok((!devices.is_empty()).then_some(devices))
}

/// Denies everything, then allows making any node, the nodes every container has, and those it was given.
fn device_rules(
    host: &HostConfig,
    devices: &[(LinuxDevice, String)],
) -> Result<Vec<LinuxDeviceCgroup>, OciSpecError> {
    if host.privileged {
        return Ok(vec![rule(true, None, None, None, "rwm")?]);
    }
    let character = Some(LinuxDeviceType::C);
    let mut rules = vec![
        rule(false, None, None, None, "rwm")?,
        rule(true, character, None, None, "m")?,
        rule(true, Some(LinuxDeviceType::B), None, None, "m")?,
    ];
    for (major, minor) in [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
        (10, Some(200)),
    ] {
        rules.push(rule(true, character, Some(major), minor, "rwm")?);
    }
    for (device, permissions) in devices {
        rules.push(rule(true, Some(device.typ()), Some(device.major()), Some(device.minor()), permissions)?);
    }
    for text in host.resources.device_cgroup_rules.iter().flatten() {
        rules.extend(parse_rule(text).transpose()?);
    }
    Ok(rules)
}

fn rule(
    allow: bool,
    typ: Option<LinuxDeviceType>,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> Result<LinuxDeviceCgroup, OciSpecError> {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).access(access).build()?;
    rule.set_typ(typ).set_major(major).set_minor(minor);
    Ok(rule)
}

/// Parses `--device-cgroup-rule`: `c 1:3 rw`, with `*` for any number.
pub(crate) fn parse_rule(text: &str) -> Option<Result<LinuxDeviceCgroup, OciSpecError>> {
    let mut words = text.split(' ');
    let typ = match words.next()? {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
    let (major, minor) = (number(major)?, number(minor)?);
    let access = words.next().filter(|access| access.chars().all(|c| "rwm".contains(c)))?;
    Some(rule(true, Some(typ), major, minor, access))
}

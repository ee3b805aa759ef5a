//! The part of the request that says how the host runs the container.

use std::collections::BTreeMap;

use wharf_api::{
    StrSlice,
    container::{HostConfig, LogConfig, Resources, RestartPolicy},
};

use super::{
    Surroundings, checks, devices::Devices, limits, mounts, network, ports::Ports, security, volumes::Volumes,
};
use crate::{Matches, value};

pub(super) fn build(
    m: &Matches,
    around: &dyn Surroundings,
    volumes: &Volumes,
    ports: &Ports,
    devices: Devices,
) -> Result<HostConfig, String> {
    check_namespaces(m)?;
    let restart_policy = restart_policy(m.str("restart"))?;
    let log_config = log_config(m.str("log-driver"), &m.list("log-opt"))?;
    let security = security::parse(&m.list("security-opt"), around)?;
    let storage_opt = storage_options(&m.list("storage-opt"))?;
    let checked = |name: &str, check: fn(&str) -> Result<String, String>| {
        m.list(name).iter().map(|value| check(value)).collect::<Result<Vec<_>, _>>()
    };
    let mounts =
        m.list("mount").iter().map(|v| mounts::parse(v, &around.folder())).collect::<Result<_, _>>()?;
    Ok(HostConfig {
        binds: list(volumes.binds.clone()),
        container_id_file: m.str("cidfile").to_owned(),
        log_config,
        network_mode: network::mode(m)?,
        port_bindings: Some(ports.bindings.clone()),
        restart_policy,
        auto_remove: m.bool("rm"),
        volume_driver: m.str("volume-driver").to_owned(),
        volumes_from: list(m.list("volumes-from")),
        annotations: map(&m.list("annotation")),
        cap_add: capabilities(&m.list("cap-add")),
        cap_drop: capabilities(&m.list("cap-drop")),
        cgroupns_mode: m.str("cgroupns").to_owned(),
        dns: Some(checked("dns", checks::address)?),
        dns_options: Some(m.list("dns-option")),
        dns_search: Some(checked("dns-search", checks::domain)?),
        extra_hosts: list(checked("add-host", checks::extra_host)?),
        group_add: list(m.list("group-add")),
        ipc_mode: m.str("ipc").to_owned(),
        links: list(m.list("link")),
        oom_score_adj: m.int("oom-score-adj"),
        pid_mode: m.str("pid").to_owned(),
        privileged: m.bool("privileged"),
        publish_all_ports: m.bool("publish-all"),
        readonly_rootfs: m.bool("read-only"),
        security_opt: security.options,
        storage_opt,
        tmpfs: tmpfs(&m.list("tmpfs")),
        uts_mode: m.str("uts").to_owned(),
        userns_mode: m.str("userns").to_owned(),
        shm_size: m.bytes("shm-size"),
        sysctls: map(&m.list("sysctl")),
        runtime: m.str("runtime").to_owned(),
        isolation: m.str("isolation").to_owned(),
        resources: resources(m, devices)?,
        mounts,
        masked_paths: security.unmasked.then(Vec::new),
        readonly_paths: security.unmasked.then(Vec::new),
        init: m.changed("init").then(|| m.bool("init")),
        ..HostConfig::default()
    })
}

fn resources(m: &Matches, devices: Devices) -> Result<Resources, String> {
    let rates = |name: &str, unit| {
        m.list(name).iter().map(|value| limits::rate(value, unit)).collect::<Result<Vec<_>, _>>().map(Some)
    };
    let requests =
        m.list("gpus").iter().map(|value| super::devices::gpus(value)).collect::<Result<Vec<_>, _>>()?;
    let requests: Vec<_> = requests.into_iter().chain(devices.requests).collect();
    Ok(Resources {
        cpu_shares: m.int("cpu-shares"),
        memory: m.bytes("memory"),
        nano_cpus: m.opt("cpus").map_or(Ok(0), value::parse_cpus)?,
        cgroup_parent: m.str("cgroup-parent").to_owned(),
        blkio_weight: u16::try_from(m.int("blkio-weight")).unwrap_or_default(),
        blkio_weight_device: m
            .list("blkio-weight-device")
            .iter()
            .map(|value| limits::weight(value))
            .collect::<Result<Vec<_>, _>>()
            .map(Some)?,
        blkio_device_read_bps: rates("device-read-bps", limits::Unit::Bytes)?,
        blkio_device_write_bps: rates("device-write-bps", limits::Unit::Bytes)?,
        blkio_device_read_iops: rates("device-read-iops", limits::Unit::Operations)?,
        blkio_device_write_iops: rates("device-write-iops", limits::Unit::Operations)?,
        cpu_period: m.int("cpu-period"),
        cpu_quota: m.int("cpu-quota"),
        cpu_realtime_period: m.int("cpu-rt-period"),
        cpu_realtime_runtime: m.int("cpu-rt-runtime"),
        cpuset_cpus: m.str("cpuset-cpus").to_owned(),
        cpuset_mems: m.str("cpuset-mems").to_owned(),
        devices: Some(devices.mappings),
        device_cgroup_rules: list(m.list("device-cgroup-rule")),
        device_requests: (!requests.is_empty()).then_some(requests),
        memory_reservation: m.bytes("memory-reservation"),
        memory_swap: m.opt("memory-swap").map_or(Ok(0), value::parse_swap)?,
        memory_swappiness: Some(m.int("memory-swappiness")),
        oom_kill_disable: Some(m.bool("oom-kill-disable")),
        pids_limit: Some(m.int("pids-limit")),
        ulimits: Some(limits::ulimits(&m.list("ulimit"))?),
        ..Resources::default()
    })
}

/// The modes that the client itself refuses; the engine looks at the others.
fn check_namespaces(m: &Matches) -> Result<(), String> {
    let pid = m.str("pid");
    if !matches!(pid, "" | "host") && pid.strip_prefix("container:").is_none_or(str::is_empty) {
        return Err("--pid: invalid PID mode".to_owned());
    }
    if !matches!(m.str("uts"), "" | "host") {
        return Err("--uts: invalid UTS mode".to_owned());
    }
    if !matches!(m.str("userns"), "" | "host") {
        return Err("--userns: invalid USER mode".to_owned());
    }
    if !matches!(m.str("cgroupns"), "" | "host" | "private") {
        return Err("--cgroupns: invalid CGROUP mode".to_owned());
    }
    Ok(())
}

/// `NAME[:RETRIES]`.
pub(crate) fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let (name, retries) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() && !text.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".to_owned());
    }
    let maximum_retry_count = match retries {
        "" => 0,
        count => count.parse().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}

fn log_config(driver: &str, options: &[String]) -> Result<LogConfig, String> {
    if driver == "none" && !options.is_empty() {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    Ok(LogConfig { kind: driver.to_owned(), config: Some(map(options)) })
}

fn storage_options(options: &[String]) -> Result<BTreeMap<String, String>, String> {
    if options.iter().any(|option| !option.contains('=')) {
        return Err("invalid storage option".to_owned());
    }
    Ok(map(options))
}

/// `PATH[:OPTIONS]` by path.
fn tmpfs(mounts: &[String]) -> BTreeMap<String, String> {
    let pair = |mount: &String| {
        let (path, options) = mount.split_once(':').unwrap_or((mount, ""));
        (path.to_owned(), options.to_owned())
    };
    mounts.iter().map(pair).collect()
}

/// Capital letters, with the prefix, in order and each once.
fn capabilities(names: &[String]) -> Option<StrSlice> {
    let mut names: Vec<String> = names.iter().map(|name| capability(name)).collect();
    names.sort_unstable();
    names.dedup();
    (!names.is_empty()).then_some(StrSlice(names))
}

fn capability(name: &str) -> String {
    let name = name.to_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

/// `KEY=VALUE`, or `KEY` for an empty value; a later key replaces an earlier one.
pub(super) fn map(pairs: &[String]) -> BTreeMap<String, String> {
    let pair = |pair: &String| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), value.to_owned())
    };
    pairs.iter().map(pair).collect()
}

/// A list that is nil where Docker's is.
fn list(values: Vec<String>) -> Option<Vec<String>> {
    (!values.is_empty()).then_some(values)
}

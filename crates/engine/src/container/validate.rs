//! Pure checks of a host configuration, with Docker's words for everything that is refused.

use wharf_api::container::{Config, HostConfig, LogConfig};

use super::spec::{security_options, validate_capabilities};
use crate::{Error, Result};

/// Least memory limit: below it a container cannot start at all.
const MINIMUM_MEMORY: i64 = 6 * 1024 * 1024;

/// What the host offers, for checks against it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    /// Number of processors.
    pub(crate) cpus: usize,
}

/// Checks what can be checked without looking anything up.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn validate(config: &Config, host: &HostConfig, machine: Host) -> Result<()> {
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    for entry in config.env.iter().flatten() {
        if entry.is_empty() || entry.starts_with('=') {
            return Err(Error::invalid(format!("invalid environment variable: {entry}")));
        }
    }
    if !config.stop_signal.is_empty() {
        crate::signal::parse(&config.stop_signal)?;
    }
    validate_healthcheck(config)?;
    validate_memory(host)?;
    validate_cpu(host, machine)?;
    validate_modes(host)?;
    validate_capabilities(host)?;
    validate_security(host)?;
    validate_logging(&host.log_config)?;
    validate_restart(host)?;
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Error::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if host.shm_size < 0 {
        return Err(Error::invalid("SHM size can not be less than 0"));
    }
    refuse_unsupported(host)
}

fn validate_healthcheck(config: &Config) -> Result<()> {
    let Some(check) = &config.healthcheck else { return Ok(()) };
    for (name, value) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if value != 0 && value < 1_000_000 {
            return Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if check.retries < 0 {
        return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

fn validate_memory(host: &HostConfig) -> Result<()> {
    if host.resources.memory != 0 && host.resources.memory < MINIMUM_MEMORY {
        return Err(Error::invalid("Minimum memory limit allowed is 6MB"));
    }
    if host.resources.memory_swap > 0 && host.resources.memory == 0 {
        return Err(Error::invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    if host.resources.memory > 0
        && host.resources.memory_swap > 0
        && host.resources.memory_swap < host.resources.memory
    {
        return Err(Error::invalid("Minimum memoryswap limit should be larger than memory limit, see usage"));
    }
    if host.resources.memory > 0 && host.resources.memory_reservation > host.resources.memory {
        return Err(Error::invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    if host.resources.memory_reservation > 0 && host.resources.memory_reservation < MINIMUM_MEMORY {
        return Err(Error::invalid("Minimum memory reservation allowed is 6MB"));
    }
    if let Some(swappiness) = host.resources.memory_swappiness.filter(|value| !(-1..=100).contains(value)) {
        return Err(Error::invalid(format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )));
    }
    Ok(())
}

fn validate_cpu(host: &HostConfig, machine: Host) -> Result<()> {
    let cpus = machine.cpus;
    if host.resources.nano_cpus > 0 && host.resources.cpu_quota > 0 {
        return Err(Error::invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set"));
    }
    if host.resources.nano_cpus > 0 && host.resources.cpu_period > 0 {
        return Err(Error::invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set"));
    }
    if host.resources.nano_cpus < 0 || host.resources.nano_cpus > cpus as i64 * 1_000_000_000 {
        return Err(Error::invalid(format!(
            "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )));
    }
    if host.resources.cpu_shares < 0 {
        return Err(Error::invalid(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            host.resources.cpu_shares
        )));
    }
    if host.resources.cpu_period != 0 && !(1000..=1_000_000).contains(&host.resources.cpu_period) {
        return Err(Error::invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if host.resources.cpu_quota > 0 && host.resources.cpu_quota < 1000 {
        return Err(Error::invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    if !host.resources.cpuset_cpus.is_empty() {
        let highest = highest_cpu(&host.resources.cpuset_cpus).ok_or_else(|| {
            Error::invalid(format!(
                "Invalid value {0} for cpuset cpus: invalid format: {0}",
                host.resources.cpuset_cpus
            ))
        })?;
        if highest >= cpus {
            let available = if cpus == 1 { "0".to_owned() } else { format!("0-{}", cpus - 1) };
            return Err(Error::invalid(format!(
                "Requested CPUs are not available - requested {}, available: {available}",
                host.resources.cpuset_cpus
            )));
        }
    }
    Ok(())
}

/// The highest processor number of a list such as `0-2,7`.
fn highest_cpu(list: &str) -> Option<usize> {
    let ends = list.split(',').map(|range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = (low.parse::<usize>().ok()?, high.parse::<usize>().ok()?);
        (low <= high).then_some(high)
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn validate_modes(host: &HostConfig) -> Result<()> {
    let container = |mode: &str| mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    if !matches!(host.ipc_mode.as_str(), "" | "none" | "private" | "shareable" | "host")
        && !container(&host.ipc_mode)
    {
        return Err(Error::invalid(format!("invalid IPC mode: {}", host.ipc_mode)));
    }
    if !matches!(host.pid_mode.as_str(), "" | "host") && !container(&host.pid_mode) {
        return Err(Error::invalid(format!("invalid PID mode: {}", host.pid_mode)));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return Err(Error::invalid(format!("invalid UTS mode: {}", host.uts_mode)));
    }
    if !matches!(host.userns_mode.as_str(), "" | "host") {
        return Err(Error::invalid(format!("invalid user namespace mode: {}", host.userns_mode)));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "host" | "private") {
        return Err(Error::invalid(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode)));
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Error::invalid(format!(
            "invalid isolation ({}): linux only supports 'default'",
            host.isolation
        )));
    }
    let published =
        host.publish_all_ports || host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty());
    if container(&host.network_mode) && published {
        return Err(Error::invalid(
            "conflicting options: port publishing and the container type network mode",
        ));
    }
    Ok(())
}

fn validate_security(host: &HostConfig) -> Result<()> {
    for (index, option) in host.security_opt.iter().flatten().enumerate() {
        let (key, value) = security_options(host).nth(index).unwrap_or_default();
        let valid = match key {
            "no-new-privileges" => matches!(value, "" | "true" | "false" | "1" | "0"),
            "seccomp" | "label" | "apparmor" | "systempaths" | "writable-cgroups" => true,
            _ => false,
        };
        if !valid {
            return Err(Error::system(format!("invalid --security-opt 2: {option:?}")));
        }
    }
    Ok(())
}

/// Checks a log driver and the names of its options.
pub(crate) fn validate_logging(log: &LogConfig) -> Result<()> {
    const EVERY_DRIVER: &[&str] = &["mode", "max-buffer-size"];
    const JSON_FILE: &[&str] =
        &["compress", "env", "env-regex", "labels", "labels-regex", "max-file", "max-size", "tag"];
    const LOCAL: &[&str] = &["compress", "max-file", "max-size"];
    let unknown = |known: &[&str]| {
        let names = log.config.iter().flatten().map(|(option, _)| option.as_str());
        names.filter(|option| !EVERY_DRIVER.contains(option)).find(|option| !known.contains(option))
    };
    // compat: each driver has words of its own.
    let error = match log.kind.as_str() {
        "json-file" => unknown(JSON_FILE).map(|o| format!("unknown log opt '{o}' for json-file log driver")),
        "local" => unknown(LOCAL).map(|o| format!("unknown log opt '{o}' for log driver local")),
        "none" => None,
        other => Some(format!("error looking up logging plugin {other}: plugin {other:?} not found")),
    };
    error.map_or(Ok(()), |error| Err(Error::invalid(error)))
}

/// How much of a log is kept, as its driver and options say.
///
/// # Errors
/// A value of an option is wrong, in Docker's words.
pub(crate) fn log_bounds(log: &LogConfig) -> wharf_monitor::Result<wharf_monitor::LogConfig> {
    let options = log.config.clone().unwrap_or_default();
    match log.kind.as_str() {
        "local" => wharf_monitor::LogConfig::from_local_options(&options),
        _ => wharf_monitor::LogConfig::from_options(&options),
    }
}

fn validate_restart(host: &HostConfig) -> Result<()> {
    let policy = &host.restart_policy;
    match policy.name.as_str() {
        "no" | "always" | "unless-stopped" if policy.maximum_retry_count > 0 => Err(Error::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        )),
        "on-failure" if policy.maximum_retry_count < 0 => {
            Err(Error::invalid("invalid restart policy: maximum retry count cannot be negative"))
        }
        "no" | "always" | "unless-stopped" | "on-failure" if host.auto_remove && policy.name != "no" => {
            Err(Error::invalid("can't create 'AutoRemove' container with restart policy"))
        }
        "no" | "always" | "unless-stopped" | "on-failure" => Ok(()),
        other => Err(Error::invalid(format!(
            "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ))),
    }
}

/// What this engine cannot do is refused by name, never ignored.
fn refuse_unsupported(host: &HostConfig) -> Result<()> {
    if !matches!(host.runtime.as_str(), "" | "runc" | "wharf") {
        return Err(Error::invalid(format!("unknown or invalid runtime name: {}", host.runtime)));
    }
    if !host.storage_opt.is_empty() {
        return Err(Error::system(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        ));
    }
    if let Some(request) = host.resources.device_requests.iter().flatten().next() {
        let capabilities: Vec<_> =
            request.capabilities.iter().flatten().map(|set| format!("[{}]", set.join(" "))).collect();
        return Err(Error::system(format!(
            "could not select device driver {:?} with capabilities: [{}]",
            request.driver,
            capabilities.join(" ")
        )));
    }
    if !host.volume_driver.is_empty() && host.volume_driver != "local" {
        return Err(Error::not_found(format!(
            "error looking up volume plugin {0}: plugin {0:?} not found",
            host.volume_driver
        )));
    }
    Ok(())
}

/// Checks a container name.
///
/// # Errors
/// A name outside `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, in Docker's words.
pub(crate) fn validate_name(name: &str) -> Result<()> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut bytes = bare.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let goes_on = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if starts && goes_on && bare.len() >= 2 {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::container::merge::default_host_config;

    fn refusal(change: impl FnOnce(&mut HostConfig)) -> String {
        let mut host = HostConfig::default();
        change(&mut host);
        let host = default_host_config(host, false);
        validate(&Config::default(), &host, Host { cpus: 2 }).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_valid() {
        let host = default_host_config(HostConfig::default(), false);
        validate(&Config::default(), &host, Host { cpus: 2 }).unwrap();
    }

    #[test]
    fn refusals_have_dockers_words() {
        assert_eq!(refusal(|host| host.resources.memory = 1 << 20), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            refusal(|host| host.resources.nano_cpus = 99_000_000_000),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
        );
        assert_eq!(
            refusal(|host| host.resources.cpuset_cpus = "99".into()),
            "Requested CPUs are not available - requested 99, available: 0-1"
        );
        assert_eq!(
            refusal(|host| host.resources.cpuset_cpus = "a".into()),
            "Invalid value a for cpuset cpus: invalid format: a"
        );
        assert_eq!(
            refusal(|host| host.log_config.kind = "bogus".into()),
            "error looking up logging plugin bogus: plugin \"bogus\" not found"
        );
        assert_eq!(refusal(|host| host.ipc_mode = "bogus".into()), "invalid IPC mode: bogus");
    }

    #[test]
    fn names_need_two_characters() {
        assert!(validate_name("ab").is_ok());
        for bad in ["a", "", "-x", "bad name", "/"] {
            assert!(validate_name(bad).is_err(), "{bad}");
        }
    }
}

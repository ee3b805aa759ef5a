//! From a container's record to the OCI runtime specification of its next run. Pure: everything that has to be looked
//! up on the host arrives in [`SpecInput`].

mod capabilities;
mod devices;
mod mounts;
mod resources;

use std::{collections::HashMap, path::PathBuf};

use wharf_api::container::HostConfig;
use wharf_oci::OciSpecError;
use wharf_oci::runtime::{
    LinuxBuilder, LinuxDevice, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxSeccomp,
    PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, RootBuilder, Spec,
    SpecBuilder, UserBuilder,
};

pub(crate) use self::{
    capabilities::{capabilities, validate_capabilities, wanted as wanted_capabilities},
    devices::{host_device, host_devices},
    resources::resources,
};
use super::{Container, user::User};
use crate::{Error, Result};

/// Paths that are hidden from a container unless it is privileged.
pub(super) const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths that are read-only in a container unless it is privileged.
pub(super) const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where `--init` puts the reaper inside the container.
pub(crate) const INIT_PATH: &str = "/sbin/docker-init";

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the specification needs to know beyond the record.
pub(crate) struct SpecInput<'a> {
    /// The container.
    pub(crate) container: &'a Container,
    /// Who its first process runs as.
    pub(crate) user: &'a User,
    /// Host name inside; `None` leaves the name of the joined namespace.
    pub(crate) hostname: Option<String>,
    /// Namespaces to create or join.
    pub(crate) namespaces: Namespaces,
    /// Bind mounts the engine adds before the user's: (source, destination).
    pub(crate) files: Vec<(PathBuf, &'static str)>,
    /// The engine's own binary, mounted as reaper with `--init`.
    pub(crate) init: Option<PathBuf>,
    /// All device nodes of the host, for `--privileged`, and those of `--device`.
    pub(crate) devices: Vec<(LinuxDevice, String)>,
    /// The filter, `None` for unconfined.
    pub(crate) seccomp: Option<LinuxSeccomp>,
    /// Path of the cgroup below each hierarchy's root.
    pub(crate) cgroup: PathBuf,
    /// The host has a mounted `/dev/mqueue`, for containers in its IPC namespace.
    pub(crate) host_mqueue: bool,
    /// Variables of `--link`ed containers.
    pub(crate) link_env: Vec<String>,
}

/// For each kind of namespace: a new one, the host's, or that of a path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespaces {
    /// Network namespace.
    pub(crate) network: Namespace,
    /// Process ids.
    pub(crate) pid: Namespace,
    /// System V IPC and POSIX message queues.
    pub(crate) ipc: Namespace,
    /// Host and domain name.
    pub(crate) uts: Namespace,
    /// View of the cgroup tree.
    pub(crate) cgroup: Namespace,
}

/// One namespace of a container.
#[derive(Clone, Debug, Default)]
pub(crate) enum Namespace {
    /// Its own.
    #[default]
    New,
    /// The host's.
    Host,
    /// That of another process, by its `/proc/PID/ns` file.
    Join(PathBuf),
}

/// Builds the specification.
///
/// # Errors
/// A security option that does not exist, or capability names that do not.
pub(crate) fn oci_spec(input: &SpecInput<'_>) -> Result<Spec> {
    let Container { config, host_config: host, .. } = input.container;
    let mut args: Vec<_> =
        std::iter::once(&input.container.path).chain(&input.container.args).cloned().collect();
    if input.init.is_some() {
        args.splice(0..0, [INIT_PATH.to_owned(), "--".to_owned()]);
    }
    let process = process(input, args).map_err(build_error)?;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(&input.namespaces).map_err(build_error)?)
        .cgroups_path(input.cgroup.clone())
        .sysctl(sysctls(input))
        .resources(resources(host, &input.devices).map_err(build_error)?)
        .devices(input.devices.iter().map(|(device, _)| device.clone()).collect::<Vec<_>>())
        .masked_paths(host.masked_paths.clone().unwrap_or_default())
        .readonly_paths(host.readonly_paths.clone().unwrap_or_default())
        .build()
        .map_err(build_error)?;
    linux.set_seccomp(input.seccomp.clone());
    let mut spec = SpecBuilder::default()
        .version("1.2.1")
        .process(process)
        .root(
            RootBuilder::default()
                .path("rootfs")
                .readonly(host.readonly_rootfs)
                .build()
                .map_err(build_error)?,
        )
        .mounts(mounts::mounts(input).map_err(build_error)?)
        .linux(linux)
        .build()
        .map_err(build_error)?;
    spec.set_hostname(input.hostname.clone().filter(|_| matches!(input.namespaces.uts, Namespace::New)));
    let domain = config.domainname.clone();
    spec.set_domainname(
        (!domain.is_empty() && matches!(input.namespaces.uts, Namespace::New)).then_some(domain),
    );
    spec.set_annotations(Some(host.annotations.clone().into_iter().collect()));
    Ok(spec)
}

/// A builder's complaint; it means a bug here, not in the request.
fn build_error(error: OciSpecError) -> Error {
    Error::system(format!("building the runtime specification: {error}")).caused_by(error)
}

fn process(input: &SpecInput<'_>, args: Vec<String>) -> Result<Process, OciSpecError> {
    let Container { config, host_config: host, .. } = input.container;
    let cwd = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
    let mut process = ProcessBuilder::default()
        .terminal(config.tty)
        .user(
            UserBuilder::default()
                .uid(input.user.uid)
                .gid(input.user.gid)
                .additional_gids(input.user.groups.clone())
                .build()?,
        )
        .args(args)
        .env(environment(input))
        .cwd(cwd)
        .capabilities(capabilities(host, input.user.uid))
        .no_new_privileges(no_new_privileges(host))
        .oom_score_adj(i32::try_from(host.oom_score_adj).unwrap_or_default())
        .build()?;
    let limits = rlimits(host)?;
    process.set_rlimits((!limits.is_empty()).then_some(limits));
    Ok(process)
}

/// `PATH`, `HOSTNAME` and `TERM`, then links, the configured variables, and `HOME` last.
fn environment(input: &SpecInput<'_>) -> Vec<String> {
    let config = &input.container.config;
    let mut base = base_environment(input.hostname.as_deref(), config.tty);
    base.extend(input.link_env.iter().cloned());
    let mut env = replace_variables(base, config.env.as_deref().unwrap_or_default());
    add_home(&mut env, &input.user.home);
    env
}

/// The variables every process has.
pub(crate) fn base_environment(hostname: Option<&str>, terminal: bool) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned()];
    env.extend(hostname.map(|name| format!("HOSTNAME={name}")));
    if terminal {
        env.push("TERM=xterm".to_owned());
    }
    env
}

/// Adds `HOME` unless it is set.
pub(crate) fn add_home(env: &mut Vec<String>, home: &str) {
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
}

/// `own` replaces variables of `base` in place and adds the rest; an entry without `=` removes the variable.
pub(crate) fn replace_variables(base: Vec<String>, own: &[String]) -> Vec<String> {
    let mut env: Vec<String> = base;
    for entry in own {
        let key = entry.split('=').next().unwrap_or_default();
        let same = |other: &String| other.split('=').next() == Some(key);
        if !entry.contains('=') {
            env.retain(|other| !same(other));
        } else if let Some(slot) = env.iter_mut().find(|other| same(other)) {
            slot.clone_from(entry);
        } else {
            env.push(entry.clone());
        }
    }
    env
}

/// Whether the processes can never gain privileges, as `--security-opt no-new-privileges` asks.
pub(crate) fn no_new_privileges(host: &HostConfig) -> bool {
    security_options(host)
        .any(|(key, value)| key == "no-new-privileges" && matches!(value, "" | "true" | "1"))
}

/// `--security-opt` values as key and value; `=` and the older `:` both separate.
pub(crate) fn security_options(host: &HostConfig) -> impl Iterator<Item = (&str, &str)> {
    host.security_opt
        .iter()
        .flatten()
        .map(|option| option.split_once('=').or_else(|| option.split_once(':')).unwrap_or((option, "")))
}

fn rlimits(host: &HostConfig) -> Result<Vec<PosixRlimit>, OciSpecError> {
    let value = |limit: i64| if limit < 0 { u64::MAX } else { limit.unsigned_abs() };
    let known = |limit: &wharf_api::container::Ulimit| {
        let typ = rlimit_type(&limit.name)?;
        Some(PosixRlimitBuilder::default().typ(typ).soft(value(limit.soft)).hard(value(limit.hard)).build())
    };
    host.resources.ulimits.iter().flatten().filter_map(known).collect()
}

fn rlimit_type(name: &str) -> Option<PosixRlimitType> {
    Some(match name {
        "as" => PosixRlimitType::RlimitAs,
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        _ => return None,
    })
}

fn sysctls(input: &SpecInput<'_>) -> HashMap<String, String> {
    let mut sysctls = HashMap::new();
    if !matches!(input.namespaces.network, Namespace::Host) && input.container.network_container().is_none() {
        // Unprivileged programs may use low ports and ping: the namespace is theirs alone.
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
    }
    sysctls.extend(input.container.host_config.sysctls.clone());
    sysctls
}

fn namespaces(wanted: &Namespaces) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let kinds = [
        (LinuxNamespaceType::Network, &wanted.network),
        (LinuxNamespaceType::Uts, &wanted.uts),
        (LinuxNamespaceType::Pid, &wanted.pid),
        (LinuxNamespaceType::Ipc, &wanted.ipc),
        (LinuxNamespaceType::Cgroup, &wanted.cgroup),
    ];
    let mut namespaces = vec![LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Mount).build()?];
    for (typ, namespace) in kinds {
        let builder = LinuxNamespaceBuilder::default().typ(typ);
        match namespace {
            Namespace::New => namespaces.push(builder.build()?),
            Namespace::Join(path) => namespaces.push(builder.path(path.clone()).build()?),
            Namespace::Host => {}
        }
    }
    Ok(namespaces)
}

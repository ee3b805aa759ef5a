//! The configuration file: the keys of Docker's `daemon.json`, and `registry-mirrors-by-host` of our own.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::settings::Flags;

/// The configuration file; a missing one is empty unless it was named on the command line.
pub(super) fn read(path: &Path, named: bool) -> Result<Map<String, Value>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(Map::new()),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("unable to read the configuration file {}", path.display()));
        }
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_str(&text).context("invalid JSON")?;
    match value {
        Value::Object(map) => Ok(map),
        _ => bail!("not a JSON object"),
    }
}

/// Fills the flags that were not given from the file.
///
/// # Errors
/// An unknown key, a value of the wrong type or one that is not supported, and keys whose flag is `given` as well; all
/// unknown keys are named at once.
pub(super) fn apply(flags: &mut Flags, file: Map<String, Value>, given: &dyn Fn(&str) -> bool) -> Result<()> {
    let (mut unknown, mut twice) = (Vec::new(), Vec::new());
    for (key, value) in file {
        // Lists of registries and labels add up, as they do with dockerd.
        let adds = matches!(key.as_str(), "insecure-registries" | "registry-mirrors" | "labels");
        if !adds && given(&flag_of(&key)) {
            twice.push(key.clone());
        }
        if !apply_key(flags, &key, value)? {
            unknown.push(key);
        }
    }
    if !unknown.is_empty() {
        bail!("the following directives don't match any configuration option: {}", unknown.join(", "));
    }
    if !twice.is_empty() {
        bail!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            twice.join(", ")
        );
    }
    Ok(())
}

/// The name of the flag that says the same as a key.
fn flag_of(key: &str) -> String {
    key.replace('-', "_")
}

/// Takes over one key; `false` if there is no such key.
fn apply_key(flags: &mut Flags, key: &str, value: Value) -> Result<bool> {
    match key {
        "hosts" => flags.hosts = list(key, value)?,
        "data-root" => flags.data_root = text(key, value)?.into(),
        "exec-root" => flags.exec_root = text(key, value)?.into(),
        "pidfile" => flags.pidfile = Some(text(key, value)?.into()),
        "bridge" => flags.bridge = text(key, value)?,
        "bip" => flags.bip = Some(text(key, value)?),
        "cgroup-parent" => flags.cgroup_parent = text(key, value)?,
        "init" => flags.init = switch(key, value)?,
        "debug" => flags.debug = switch(key, value)?,
        "log-level" => flags.log_level = text(key, value)?,
        "insecure-registries" => flags.insecure_registries.extend(list(key, value)?),
        "registry-mirrors" => flags.registry_mirrors.extend(list(key, value)?),
        "registry-mirrors-by-host" => flags.host_mirrors = map(key, value, list)?,
        "labels" => flags.labels.extend(list(key, value)?),
        "log-driver" => flags.log_driver = text(key, value)?,
        "log-opts" => {
            flags.log_options = map(key, value, text)?
                .into_iter()
                .map(|(option, value)| format!("{option}={value}"))
                .collect();
        }
        "dns" => flags.dns = list(key, value)?,
        "dns-search" => flags.dns_search = list(key, value)?,
        "dns-opts" => flags.dns_options = list(key, value)?,
        "max-concurrent-downloads" => flags.max_concurrent_downloads = number(key, value)?,
        "max-concurrent-uploads" => flags.max_concurrent_uploads = number(key, value)?,
        "max-download-attempts" => flags.max_download_attempts = number(key, value)?,
        "proxies" => {
            for (proxy, address) in map(key, value, text)? {
                match proxy.as_str() {
                    "http-proxy" => flags.http_proxy = address,
                    "https-proxy" => flags.https_proxy = address,
                    "no-proxy" => flags.no_proxy = address,
                    other => bail!("proxies: unknown directive {other}"),
                }
            }
        }
        // What cannot be otherwise here may be stated.
        "storage-driver" => only(key, &text(key, value)?, "overlay2")?,
        "default-runtime" => only(key, &text(key, value)?, "runc")?,
        "live-restore" => flags.live_restore = switch(key, value)?,
        // No feature is experimental: either value is as good.
        "experimental" => {
            switch(key, value)?;
        }
        "exec-opts" => {
            for option in list(key, value)? {
                only(key, &option, "native.cgroupdriver=cgroupfs")?;
            }
        }
        key if UNSUPPORTED.contains(&key) => bail!("{key}: not supported"),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Keys of Docker's that have no effect here: refused by name, so that nobody relies on them.
const UNSUPPORTED: &[&str] = &[
    "allow-direct-routing",
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugins",
    "bip6",
    "bridge-accept-fwmark",
    "builder",
    "cdi-spec-dirs",
    "cluster-advertise",
    "cluster-store",
    "cluster-store-opts",
    "containerd",
    "containerd-namespace",
    "containerd-plugin-namespace",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "data-root-mode",
    "default-address-pools",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-ipc-mode",
    "default-network-opts",
    "default-shm-size",
    "default-ulimits",
    "features",
    "firewall-backend",
    "fixed-cidr",
    "fixed-cidr-v6",
    "group",
    "host-gateway-ip",
    "host-gateway-ips",
    "http-proxy",
    "https-proxy",
    "icc",
    "init-path",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "log-format",
    "metrics-addr",
    "mtu",
    "network-control-plane-mtu",
    "no-new-privileges",
    "no-proxy",
    "node-generic-resources",
    "oom-score-adjust",
    "raw-logs",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-opts",
    "swarm-default-advertise-addr",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "userns-remap",
    "validate",
];

fn only(key: &str, value: &str, supported: &str) -> Result<()> {
    if value != supported {
        bail!("{key}: {value} is not supported, only {supported} is");
    }
    Ok(())
}

fn text(key: &str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => bail!("{key}: expected a string, found {other}"),
    }
}

fn switch(key: &str, value: Value) -> Result<bool> {
    match value {
        Value::Bool(on) => Ok(on),
        other => bail!("{key}: expected true or false, found {other}"),
    }
}

fn number(key: &str, value: Value) -> Result<u32> {
    match value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0) {
        Some(number) => Ok(number),
        None => bail!("{key}: expected a number above 0, found {value}"),
    }
}

fn list(key: &str, value: Value) -> Result<Vec<String>> {
    match value {
        Value::Array(items) => items.into_iter().map(|item| text(key, item)).collect(),
        other => bail!("{key}: expected a list of strings, found {other}"),
    }
}

fn map<T>(key: &str, value: Value, item: impl Fn(&str, Value) -> Result<T>) -> Result<BTreeMap<String, T>> {
    match value {
        Value::Object(items) => {
            items.into_iter().map(|(name, value)| Ok((name, item(key, value)?))).collect()
        }
        other => bail!("{key}: expected an object, found {other}"),
    }
}

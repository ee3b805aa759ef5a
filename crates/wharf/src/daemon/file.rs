//! The configuration file: the keys of Docker's `daemon.json`, and `registry-mirrors-by-host` of our own.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::settings::{Flags, MERGED};

/// The configuration file; `None` if it is missing and was not named on the command line.
pub(super) fn read(path: &Path, named: bool) -> Result<Option<Map<String, Value>>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(None),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("unable to read the configuration file {}", path.display()));
        }
    };
    // Editors of other systems put it there.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(Some(Map::new()));
    }
    match serde_json::from_str(text).context("invalid JSON")? {
        Value::Object(map) => Ok(Some(map)),
        Value::Null => Ok(Some(Map::new())),
        other => bail!(
            "invalid JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            kind(&other)
        ),
    }
}

/// What the command line says of a flag: the words given for it, none for a switch; `None` if it was not given.
pub(super) type Given<'a> = &'a dyn Fn(&str) -> Option<Vec<String>>;

/// Fills the flags that were not given from the file.
///
/// # Errors
/// An unknown key, a value of the wrong type or one that is not supported, and keys whose flag is given as well; all of
/// a sort are named at once.
pub(super) fn apply(flags: &mut Flags, file: Map<String, Value>, given: Given<'_>) -> Result<()> {
    let (mut unknown, mut twice) = (Vec::new(), Vec::new());
    for (key, value) in file {
        twice.extend(conflicts(&key, &value, given));
        match apply_key(flags, &key, value)? {
            Known::Yes => {}
            Known::No(keys) => unknown.extend(keys),
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

/// Keys whose flag is given as well, with both values in Go's form.
fn conflicts(key: &str, value: &Value, given: Given<'_>) -> Vec<String> {
    if let ("proxies", Value::Object(proxies)) = (key, value) {
        return proxies.iter().flat_map(|(key, value)| conflicts(key, value, given)).collect();
    }
    // The name of the flag that says the same.
    let Some(words) = given(&key.replace('-', "_")) else { return Vec::new() };
    let (flag, file) = match value {
        Value::Array(items) => (
            format!("[{}]", words.join(" ")),
            format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        ),
        Value::Object(items) => (
            format!(
                "map[{}]",
                words.iter().map(|word| word.replacen('=', ":", 1)).collect::<Vec<_>>().join(" ")
            ),
            format!(
                "map[{}]",
                items
                    .iter()
                    .map(|(name, item)| format!("{name}:{}", plain(item)))
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        ),
        other => (words.last().cloned().unwrap_or_else(|| "true".to_owned()), plain(other)),
    };
    vec![format!("{key}: (from flag: {flag}, from file: {file})")]
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether there is such a key.
enum Known {
    Yes,
    /// There is not; the keys that are unknown, which may be below it.
    No(Vec<String>),
}

/// Takes over one key. What is empty or null says nothing, as for Docker.
fn apply_key(flags: &mut Flags, key: &str, value: Value) -> Result<Known> {
    match key {
        "hosts" => set(&mut flags.hosts, list(key, value)?),
        "data-root" => set(&mut flags.data_root, text(key, value)?.map(Into::into)),
        "exec-root" => set(&mut flags.exec_root, text(key, value)?.map(Into::into)),
        "pidfile" => set(&mut flags.pidfile, text(key, value)?.map(|path| Some(path.into()))),
        "bridge" => set(&mut flags.bridge, text(key, value)?),
        "bip" => set(&mut flags.bip, text(key, value)?.map(Some)),
        "cgroup-parent" => set(&mut flags.cgroup_parent, text(key, value)?),
        "init" => set(&mut flags.init, switch(key, value)?),
        "debug" => set(&mut flags.debug, switch(key, value)?),
        "log-level" => set(&mut flags.log_level, text(key, value)?),
        "insecure-registries" => set(&mut flags.insecure_registries, list(key, value)?),
        "registry-mirrors" => set(&mut flags.registry_mirrors, list(key, value)?),
        "registry-mirrors-by-host" => {
            let mirrors = map(key, value, list)?;
            flags.host_mirrors =
                mirrors.into_iter().map(|(host, urls)| (host, urls.unwrap_or_default())).collect();
        }
        "labels" => set(&mut flags.labels, list(key, value)?),
        "log-driver" => set(&mut flags.log_driver, text(key, value)?),
        "log-opts" => {
            let option =
                |(option, value): (String, Option<String>)| format!("{option}={}", value.unwrap_or_default());
            flags.log_options = map(key, value, text)?.into_iter().map(option).collect();
        }
        "dns" => {
            let servers = list(key, value)?.unwrap_or_default();
            if let Some(bad) = servers.iter().find(|server| server.parse::<std::net::IpAddr>().is_err()) {
                bail!("invalid JSON: invalid IP address: {bad}");
            }
            flags.dns = servers;
        }
        "dns-search" => set(&mut flags.dns_search, list(key, value)?),
        "dns-opts" => set(&mut flags.dns_options, list(key, value)?),
        "max-concurrent-downloads" => set(&mut flags.max_concurrent_downloads, number(key, value)?),
        "max-concurrent-uploads" => set(&mut flags.max_concurrent_uploads, number(key, value)?),
        "max-download-attempts" => set(&mut flags.max_download_attempts, number(key, value)?),
        "proxies" => return apply_proxies(flags, map(key, value, text)?),
        // What cannot be otherwise here may be stated.
        "storage-driver" => only(key, text(key, value)?, "overlay2")?,
        "default-runtime" => only(key, text(key, value)?, "runc")?,
        "live-restore" => set(&mut flags.live_restore, switch(key, value)?),
        // No feature is experimental: either value is as good.
        "experimental" => drop(switch(key, value)?),
        "exec-opts" => {
            for option in list(key, value)?.unwrap_or_default() {
                only(key, Some(option), "native.cgroupdriver=cgroupfs")?;
            }
        }
        key if UNSUPPORTED.contains(&key) => {
            if !is_as_here(key, &value) {
                bail!("{key}: not supported");
            }
        }
        _ => return Ok(Known::No(vec![key.to_owned()])),
    }
    Ok(Known::Yes)
}

fn apply_proxies(flags: &mut Flags, proxies: BTreeMap<String, Option<String>>) -> Result<Known> {
    let mut unknown = Vec::new();
    for (key, address) in proxies {
        match key.as_str() {
            "http-proxy" => set(&mut flags.http_proxy, address),
            "https-proxy" => set(&mut flags.https_proxy, address),
            "no-proxy" => set(&mut flags.no_proxy, address),
            _ => unknown.push(key),
        }
    }
    Ok(if unknown.is_empty() { Known::Yes } else { Known::No(unknown) })
}

/// Whether a key that cannot be set says what is the case anyway.
fn is_as_here(key: &str, value: &Value) -> bool {
    match (key, value) {
        (_, Value::Null) => true,
        ("icc" | "ip-forward" | "ip-masq" | "ip6tables" | "iptables" | "userland-proxy", value) => {
            *value == true
        }
        ("ipv6" | "no-new-privileges" | "raw-logs" | "selinux-enabled" | "tls" | "tlsverify", value) => {
            *value == false
        }
        ("features", Value::Object(features)) => {
            features.iter().all(|(feature, on)| match feature.as_str() {
                "buildkit" => *on == true,
                "containerd-snapshotter" => *on == false,
                _ => false,
            })
        }
        ("log-format", value) => *value == "text",
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Array(items)) => items.is_empty(),
        (_, Value::Object(items)) => items.is_empty(),
        _ => false,
    }
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

fn only(key: &str, value: Option<String>, supported: &str) -> Result<()> {
    match value {
        Some(value) if value != supported => bail!("{key}: {value} is not supported, only {supported} is"),
        _ => Ok(()),
    }
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn text(key: &str, value: Value) -> Result<Option<String>> {
    match value {
        Value::String(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Value::Null => Ok(None),
        other => mistyped(key, &other, "string"),
    }
}

fn switch(key: &str, value: Value) -> Result<Option<bool>> {
    match value {
        Value::Bool(on) => Ok(Some(on)),
        Value::Null => Ok(None),
        other => mistyped(key, &other, "bool"),
    }
}

fn number(key: &str, value: Value) -> Result<Option<u32>> {
    if value.is_null() {
        return Ok(None);
    }
    match value.as_i64() {
        // compat: a flag of 0 is no limit, a key of 0 is none at all.
        Some(0) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => bail!("{MERGED}invalid {}: {number}", key.replace('-', " ")),
        },
        None => mistyped(key, &value, "int"),
    }
}

fn list(key: &str, value: Value) -> Result<Option<Vec<String>>> {
    match value {
        Value::Array(items) => {
            let items = items.into_iter().map(|item| Ok(text(key, item)?.unwrap_or_default()));
            Ok(Some(items.collect::<Result<Vec<_>>>()?).filter(|items| !items.is_empty()))
        }
        Value::Null => Ok(None),
        other => mistyped(key, &other, "[]string"),
    }
}

fn map<T>(key: &str, value: Value, item: impl Fn(&str, Value) -> Result<T>) -> Result<BTreeMap<String, T>> {
    match value {
        Value::Object(items) => items
            .into_iter()
            .map(|(name, value)| {
                let value = item(&format!("{key}.{name}"), value)?;
                Ok((name, value))
            })
            .collect(),
        Value::Null => Ok(BTreeMap::new()),
        other => mistyped(key, &other, "map[string]string"),
    }
}

/// A value of the wrong type, in the words of Go's reader of JSON.
fn mistyped<T>(key: &str, value: &Value, wanted: &str) -> Result<T> {
    let found = match value {
        Value::Number(number) if wanted == "int" => format!("number {number}"),
        other => kind(other).to_owned(),
    };
    bail!("invalid JSON: json: cannot unmarshal {found} into Go struct field Config.{key} of type {wanted}")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

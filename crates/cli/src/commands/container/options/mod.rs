//! What `run` and `create` have in common: their flags, and the documents that the flags stand for.
//!
//! Everything here is a function of the command line and of [`Surroundings`]; nothing is sent or printed.
//!
//! - `flags`: the definitions; `checks`: what is tested while a flag is parsed.
//! - `config`, `host_config`, `network`: the three parts of the request.
//! - `ports` (`-p`, `--expose`), `volumes` (`-v`), `mounts` (`--mount`), `devices` (`--device`, `--gpus`),
//!   `limits` (`--ulimit`, `--blkio-…`), `security` (`--security-opt`), `variables` (`-e`, `-l` and their files).

mod checks;
mod config;
mod devices;
mod flags;
mod host_config;
mod limits;
mod mounts;
mod network;
mod ports;
mod security;
mod variables;
mod volumes;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod golden;

use std::{
    io,
    path::{Path, PathBuf},
};

use wharf_api::container::CreateRequest;

pub(super) use self::variables::{proxies, variables};
pub(crate) use self::{
    checks::env,
    flags::{CREATE, CREATE_FLAGS},
    host_config::restart_policy,
};
pub(crate) use self::{
    checks::extra_host,
    limits::{ulimit, ulimits},
};
use crate::Matches;

/// What the command line may refer to: the client's own environment and files.
pub(super) trait Surroundings {
    /// A variable of the client.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// The folder that relative paths begin in.
    fn folder(&self) -> PathBuf;
}

/// The process's own surroundings.
#[derive(Debug)]
pub(super) struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn folder(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    }
}

/// The body of `POST /containers/create`.
///
/// # Errors
/// The text that follows `docker: `, for the first thing that is wrong in the order Docker looks at them.
pub(super) fn create_request(m: &Matches, around: &dyn Surroundings) -> Result<CreateRequest, String> {
    check_pull(m.str("pull"))?;
    if m.bool("use-api-socket") {
        return Err("--use-api-socket is not supported by this version".to_owned());
    }
    network::check_mac(m.str("mac-address"))?;
    let swappiness = m.int("memory-swappiness");
    if swappiness != -1 && !(0..=100).contains(&swappiness) {
        return Err(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100"));
    }
    let volumes = volumes::parse(&m.list("volume"), &around.folder())?;
    let ports = ports::parse(&m.list("publish"), &m.list("expose"))?;
    let devices = devices::parse(&m.list("device"))?;
    let env = variables(around, &m.list("env-file"), &m.list("env"))?;
    let labels = variables::labels(around, &m.list("label-file"), &m.list("label"))?;
    let host_config = host_config::build(m, around, &volumes, &ports, devices)?;
    let config = config::build(m, volumes, ports, env, labels)?;
    if host_config.auto_remove && !matches!(host_config.restart_policy.name.as_str(), "" | "no") {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    let networking_config = Some(network::build(m)?);
    Ok(CreateRequest { config, host_config: Some(host_config), networking_config })
}

fn check_pull(policy: &str) -> Result<(), String> {
    match policy {
        "always" | "missing" | "never" | "" => Ok(()),
        _ => Err(format!(
            "invalid pull option: '{policy}': must be one of \"always\", \"missing\" or \"never\""
        )),
    }
}

/// `path` made absolute and free of `.` and `..`, without looking at the file system.
pub(super) fn absolute(folder: &Path, path: &str) -> String {
    clean(&folder.join(path).to_string_lossy())
}

/// Go's `path.Clean`: no `.`, no `//`, and `..` only at the beginning of a relative path.
pub(in crate::commands::container) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

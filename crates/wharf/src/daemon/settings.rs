//! The daemon's settings: dockerd's flags over the keys of `daemon.json`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, FromArgMatches, Parser, parser::ValueSource};
use serde_json::{Map, Value};
use wharf_engine::EngineConfig;

const DEFAULT_CONFIG_FILE: &str = "/etc/wharf/daemon.json";

/// The engine that runs containers.
#[derive(Debug, Parser)]
#[command(name = "wharf daemon", version, about)]
struct Flags {
    /// Where to listen: unix://PATH, tcp://ADDRESS:PORT or fd://
    #[arg(short = 'H', long = "host")]
    hosts: Vec<String>,
    /// Folder of durable state
    #[arg(long, default_value = "/var/lib/wharf")]
    data_root: PathBuf,
    /// Folder of state that a reboot may lose
    #[arg(long, default_value = "/run/wharf")]
    exec_root: PathBuf,
    /// File that names the running daemon
    #[arg(short, long)]
    pidfile: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = DEFAULT_CONFIG_FILE)]
    config_file: PathBuf,
    /// Name of the default bridge; "none" for no default network
    #[arg(short, long, default_value = "")]
    bridge: String,
    /// Address of the default bridge in CIDR form
    #[arg(long)]
    bip: Option<String>,
    /// Cgroup to put containers under
    #[arg(long, default_value = "wharf")]
    cgroup_parent: String,
    /// Run a reaper as first process in every container
    #[arg(long)]
    init: bool,
    /// Registry to speak to without TLS; may repeat
    #[arg(long = "insecure-registry")]
    insecure_registries: Vec<String>,
    /// Mirror of the default registry; may repeat
    #[arg(long = "registry-mirror")]
    registry_mirrors: Vec<String>,
    /// Label of this engine, key=value; may repeat
    #[arg(long = "label")]
    labels: Vec<String>,
    /// Log more
    #[arg(short = 'D', long)]
    debug: bool,
    /// trace, debug, info, warn or error
    #[arg(short, long, default_value = "info")]
    log_level: String,
    /// Check the configuration and end
    #[arg(long)]
    validate: bool,
}

/// Everything the daemon needs to know.
#[derive(Debug)]
pub(super) struct Settings {
    /// Where to listen.
    pub(super) hosts: Vec<String>,
    /// File that names the running daemon.
    pub(super) pid_file: PathBuf,
    /// Filter for the log.
    pub(super) log_level: String,
    /// The engine's part.
    pub(super) engine: EngineConfig,
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Run with these settings.
    Run(Box<Settings>),
    /// Print a text and end.
    Print(String),
}

impl Settings {
    /// Reads the command line and the configuration file.
    ///
    /// # Errors
    /// An unknown flag or key, a value of the wrong type, or a setting that is given in both places.
    pub(super) fn parse(args: &[OsString]) -> Result<Parsed> {
        let words = std::iter::once(OsString::from("wharf daemon")).chain(args.iter().cloned());
        let matches = match Flags::command().try_get_matches_from(words) {
            Ok(matches) => matches,
            Err(error) if !error.use_stderr() => return Ok(Parsed::Print(error.render().to_string())),
            Err(error) => bail!("{}", error.render().to_string().trim_end().trim_start_matches("error: ")),
        };
        let mut flags = Flags::from_arg_matches(&matches)?;
        let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
        let file = read_file(&flags.config_file, given("config_file"))?;
        apply_file(&mut flags, file, &given).with_context(|| {
            format!("unable to configure the daemon with file {}", flags.config_file.display())
        })?;
        if flags.validate {
            return Ok(Parsed::Print("configuration OK\n".to_owned()));
        }
        Ok(Parsed::Run(Box::new(flags.into_settings())))
    }
}

impl Flags {
    fn into_settings(self) -> Settings {
        let mut hosts = self.hosts;
        if hosts.is_empty() {
            hosts.push(format!("unix://{}", self.exec_root.join("wharf.sock").display()));
        }
        Settings {
            hosts,
            pid_file: self.pidfile.unwrap_or_else(|| self.exec_root.join("wharf.pid")),
            log_level: if self.debug { "debug".to_owned() } else { self.log_level },
            engine: EngineConfig {
                data_root: self.data_root,
                exec_root: self.exec_root,
                bridge: self.bridge,
                bip: self.bip,
                cgroup_parent: self.cgroup_parent,
                init: self.init,
                insecure_registries: self.insecure_registries,
                registry_mirrors: self.registry_mirrors,
                labels: self.labels,
                debug: self.debug,
            },
        }
    }
}

/// The configuration file; a missing one is empty unless it was named on the command line.
fn read_file(path: &Path, named: bool) -> Result<Map<String, Value>> {
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
    let value: Value = serde_json::from_str(&text).with_context(|| {
        format!("unable to configure the daemon with file {}: invalid JSON", path.display())
    })?;
    match value {
        Value::Object(map) => Ok(map),
        _ => bail!("unable to configure the daemon with file {}: not a JSON object", path.display()),
    }
}

/// Fills the flags that were not given from the file.
fn apply_file(flags: &mut Flags, file: Map<String, Value>, given: &dyn Fn(&str) -> bool) -> Result<()> {
    let (mut unknown, mut twice) = (Vec::new(), Vec::new());
    for (key, value) in file {
        let mut check = |flag: &str| {
            if given(flag) {
                twice.push(key.clone());
            }
        };
        match key.as_str() {
            "hosts" => {
                check("hosts");
                flags.hosts = list(&key, value)?;
            }
            "data-root" => {
                check("data_root");
                flags.data_root = text(&key, value)?.into();
            }
            "exec-root" => {
                check("exec_root");
                flags.exec_root = text(&key, value)?.into();
            }
            "pidfile" => {
                check("pidfile");
                flags.pidfile = Some(text(&key, value)?.into());
            }
            "bridge" => {
                check("bridge");
                flags.bridge = text(&key, value)?;
            }
            "bip" => {
                check("bip");
                flags.bip = Some(text(&key, value)?);
            }
            "cgroup-parent" => {
                check("cgroup_parent");
                flags.cgroup_parent = text(&key, value)?;
            }
            "init" => {
                check("init");
                flags.init = switch(&key, value)?;
            }
            "debug" => {
                check("debug");
                flags.debug = switch(&key, value)?;
            }
            "log-level" => {
                check("log_level");
                flags.log_level = text(&key, value)?;
            }
            // Lists of registries and labels add up, as they do with dockerd.
            "insecure-registries" => flags.insecure_registries.extend(list(&key, value)?),
            "registry-mirrors" => flags.registry_mirrors.extend(list(&key, value)?),
            "labels" => flags.labels.extend(list(&key, value)?),
            _ => unknown.push(key),
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

fn list(key: &str, value: Value) -> Result<Vec<String>> {
    match value {
        Value::Array(items) => items.into_iter().map(|item| text(key, item)).collect(),
        other => bail!("{key}: expected a list of strings, found {other}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(args: &[&str], file: &str) -> Result<Settings> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("daemon.json");
        fs::write(&path, file)?;
        let mut words: Vec<OsString> = args.iter().map(OsString::from).collect();
        words.extend(["--config-file".into(), path.into_os_string()]);
        match Settings::parse(&words)? {
            Parsed::Run(settings) => Ok(*settings),
            Parsed::Print(text) => bail!("printed {text}"),
        }
    }

    #[test]
    fn file_and_flags_add_up() {
        let settings =
            parse(&["--data-root", "/d"], r#"{"registry-mirrors": ["http://m"], "debug": true}"#).unwrap();
        assert_eq!(settings.engine.data_root, Path::new("/d"));
        assert_eq!(settings.engine.registry_mirrors, ["http://m"]);
        assert_eq!(settings.log_level, "debug");
        assert_eq!(settings.hosts, ["unix:///run/wharf/wharf.sock"]);
    }

    #[test]
    fn mistakes_are_named() {
        let message = |args: &[&str], file: &str| format!("{:#}", parse(args, file).unwrap_err());
        assert!(message(&[], r#"{"nosuch": 1}"#).ends_with("don't match any configuration option: nosuch"));
        assert!(message(&[], r#"{"debug": 1}"#).ends_with("debug: expected true or false, found 1"));
        assert!(message(&[], "{").contains("invalid JSON"));
        assert!(
            message(&["--bridge", "a"], r#"{"bridge": "b"}"#).ends_with("in the configuration file: bridge")
        );
        assert!(message(&["--nosuch"], "{}").contains("--nosuch"));
    }
}

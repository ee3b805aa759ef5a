//! The daemon's settings: dockerd's flags over the keys of `daemon.json`.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::{CommandFactory, FromArgMatches, Parser, parser::ValueSource};
use wharf_engine::{EngineConfig, Proxies};

use super::file;

const DEFAULT_CONFIG_FILE: &str = "/etc/wharf/daemon.json";

/// The engine that runs containers.
#[derive(Debug, Parser)]
#[command(name = "wharf daemon", version, about)]
pub(super) struct Flags {
    /// Where to listen: unix://PATH, tcp://ADDRESS:PORT or fd://
    #[arg(short = 'H', long = "host")]
    pub(super) hosts: Vec<String>,
    /// Folder of durable state
    #[arg(long, default_value = "/var/lib/wharf")]
    pub(super) data_root: PathBuf,
    /// Folder of state that a reboot may lose
    #[arg(long, default_value = "/run/wharf")]
    pub(super) exec_root: PathBuf,
    /// File that names the running daemon
    #[arg(short, long)]
    pub(super) pidfile: Option<PathBuf>,
    /// Configuration file
    #[arg(long, default_value = DEFAULT_CONFIG_FILE)]
    config_file: PathBuf,
    /// Name of the default bridge; "none" for no default network
    #[arg(short, long, default_value = "")]
    pub(super) bridge: String,
    /// Address of the default bridge in CIDR form
    #[arg(long)]
    pub(super) bip: Option<String>,
    /// Cgroup to put containers under
    #[arg(long, default_value = "wharf")]
    pub(super) cgroup_parent: String,
    /// Run a reaper as first process in every container
    #[arg(long)]
    pub(super) init: bool,
    /// Registry to speak to without TLS; may repeat
    #[arg(long = "insecure-registry")]
    pub(super) insecure_registries: Vec<String>,
    /// Mirror of the default registry; may repeat
    #[arg(long = "registry-mirror")]
    pub(super) registry_mirrors: Vec<String>,
    /// Label of this engine, key=value; may repeat
    #[arg(long = "label")]
    pub(super) labels: Vec<String>,
    /// Mirrors of other registries by host; only in the configuration file
    #[arg(skip)]
    pub(super) host_mirrors: BTreeMap<String, Vec<String>>,
    /// Name server of containers; may repeat
    #[arg(long)]
    pub(super) dns: Vec<String>,
    /// Search domain of containers; may repeat
    #[arg(long)]
    pub(super) dns_search: Vec<String>,
    /// Resolver option of containers; may repeat
    #[arg(long = "dns-opt", id = "dns_opts")]
    pub(super) dns_options: Vec<String>,
    /// Layers of a pull that are downloaded at once
    #[arg(long, default_value_t = 3)]
    pub(super) max_concurrent_downloads: u32,
    /// Layers of a push that are uploaded at once
    #[arg(long, default_value_t = 5)]
    pub(super) max_concurrent_uploads: u32,
    /// How often a broken transfer is taken up again
    #[arg(long, default_value_t = 5)]
    pub(super) max_download_attempts: u32,
    /// Proxy for plain HTTP
    #[arg(long, default_value = "")]
    pub(super) http_proxy: String,
    /// Proxy for HTTPS
    #[arg(long, default_value = "")]
    pub(super) https_proxy: String,
    /// Hosts, domains and networks that are reached without a proxy, separated by commas
    #[arg(long, default_value = "")]
    pub(super) no_proxy: String,
    /// Log driver of containers that name none themselves
    #[arg(long, default_value = "json-file")]
    pub(super) log_driver: String,
    /// Option of that log driver, key=value; may repeat
    #[arg(long = "log-opt", id = "log_opts")]
    pub(super) log_options: Vec<String>,
    /// Leave containers running when the daemon is told to end
    #[arg(long)]
    pub(super) live_restore: bool,
    /// Log more
    #[arg(short = 'D', long)]
    pub(super) debug: bool,
    /// trace, debug, info, warn or error
    #[arg(short, long, default_value = "info")]
    pub(super) log_level: String,
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
        // Some keys of the file are no flags.
        let given = |name: &str| {
            matches.ids().any(|id| id == name) && matches.value_source(name) == Some(ValueSource::CommandLine)
        };
        let path = flags.config_file.clone();
        file::read(&path, given("config_file"))
            .and_then(|file| file::apply(&mut flags, file, &given))
            .with_context(|| format!("unable to configure the Docker daemon with file {}", path.display()))?;
        check(&flags)?;
        let validate = flags.validate;
        let settings = flags.into_settings();
        settings.engine.check_log().context("failed to set log opts")?;
        if validate {
            return Ok(Parsed::Print("configuration OK\n".to_owned()));
        }
        Ok(Parsed::Run(Box::new(settings)))
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
                host_mirrors: self.host_mirrors,
                proxies: Proxies { http: self.http_proxy, https: self.https_proxy, none: self.no_proxy },
                max_downloads: self.max_concurrent_downloads as usize,
                max_uploads: self.max_concurrent_uploads as usize,
                max_attempts: self.max_download_attempts,
                dns: self.dns,
                dns_search: self.dns_search,
                dns_options: self.dns_options,
                labels: self.labels,
                log_driver: self.log_driver,
                log_options: pairs(&self.log_options),
                live_restore: self.live_restore,
                debug: self.debug,
            },
        }
    }
}

/// `key=value` words as a map; the last of a key counts.
fn pairs(words: &[String]) -> BTreeMap<String, String> {
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Refuses what could only fail later, at the first pull.
fn check(flags: &Flags) -> Result<()> {
    for mirror in flags.registry_mirrors.iter().chain(flags.host_mirrors.values().flatten()) {
        let Some((scheme, rest)) = mirror.split_once("://") else {
            bail!(
                "invalid mirror: no scheme specified for {mirror:?}: must use either 'https://' or 'http://'"
            );
        };
        if !matches!(scheme, "http" | "https") {
            bail!(
                "invalid mirror: unsupported scheme {scheme:?} in {mirror:?}: must use either 'https://' or 'http://'"
            );
        }
        if rest.is_empty() || rest.contains(['?', '#', '@', ' ']) {
            bail!("invalid mirror: {mirror:?} is not a valid URI");
        }
    }
    for label in &flags.labels {
        if label.split_once('=').is_none_or(|(key, _)| key.is_empty()) {
            bail!("bad attribute format: {label}");
        }
    }
    if let Some(option) = flags.log_options.iter().find(|option| !option.contains('=')) {
        bail!("invalid logging option: {option:?}: must be formatted as key=value");
    }
    for server in &flags.dns {
        if server.parse::<std::net::IpAddr>().is_err() {
            bail!("{server} is not an ip address");
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, path::Path};

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
    fn registries_and_names() {
        let file = r#"{
            "registry-mirrors-by-host": {"ghcr.io": ["https://m"]}, "max-concurrent-uploads": 2,
            "proxies": {"https-proxy": "http://p:1", "no-proxy": "a,b"}, "dns": ["1.1.1.1"], "dns-opts": ["ndots:1"],
            "storage-driver": "overlay2", "live-restore": false, "experimental": true,
            "log-driver": "json-file", "log-opts": {"max-size": "10m", "tag": "a=b"}
        }"#;
        let engine = parse(&[], file).unwrap().engine;
        assert_eq!(engine.host_mirrors["ghcr.io"], ["https://m"]);
        assert_eq!((engine.log_driver.as_str(), engine.log_options["tag"].as_str()), ("json-file", "a=b"));
        assert_eq!((engine.max_uploads, engine.max_downloads), (2, 3));
        assert_eq!((engine.proxies.https.as_str(), engine.proxies.none.as_str()), ("http://p:1", "a,b"));
        assert_eq!(
            (engine.dns, engine.dns_options),
            (vec!["1.1.1.1".to_owned()], vec!["ndots:1".to_owned()])
        );
    }

    #[test]
    fn mistakes_are_named() {
        let message = |args: &[&str], file: &str| format!("{:#}", parse(args, file).unwrap_err());
        assert!(message(&[], r#"{"nosuch": 1}"#).ends_with("don't match any configuration option: nosuch"));
        assert!(message(&[], r#"{"debug": 1}"#).ends_with("debug: expected true or false, found 1"));
        assert!(message(&[], "{").contains("invalid JSON"));
        assert!(message(&[], r#"{"userns-remap": "a"}"#).ends_with("userns-remap: not supported"));
        assert!(message(&[], r#"{"log-driver": "gelf"}"#).contains("\"gelf\" not found"));
        let options = r#"{"log-opts": {"max-sise": "1m"}}"#;
        assert!(message(&[], options).ends_with("unknown log opt 'max-sise' for json-file log driver"));
        assert!(message(&["--log-opt", "max-file=0"], "{}").contains("max-file"));
        assert!(message(&[], r#"{"log-opts": {"max-file": 3}}"#).ends_with("expected a string, found 3"));
        assert!(message(&[], r#"{"registry-mirrors": ["ftp://a"]}"#).contains("unsupported scheme \"ftp\""));
        assert!(message(&[], r#"{"labels": ["a"]}"#).contains("bad attribute format: a"));
        assert!(message(&[], r#"{"dns": ["a"]}"#).contains("a is not an ip address"));
        assert!(
            message(&["--bridge", "a"], r#"{"bridge": "b"}"#).ends_with("in the configuration file: bridge")
        );
        assert!(message(&["--nosuch"], "{}").contains("--nosuch"));
    }
}

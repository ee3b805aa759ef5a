//! The daemon's settings: dockerd's flags over the keys of `daemon.json`.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::{CommandFactory, FromArgMatches, Parser, parser::ValueSource};
use wharf_engine::{EngineConfig, Proxies};

use super::file;

/// What Docker says before mistakes that only show when flags and file are seen together.
pub(super) const MERGED: &str = "merged configuration validation from file and command line flags failed: ";

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
    /// Name of the default bridge
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
            let given = matches.ids().any(|id| id == name)
                && matches.value_source(name) == Some(ValueSource::CommandLine);
            let words = || matches.get_raw(name).into_iter().flatten();
            given.then(|| words().map(|word| word.to_string_lossy().into_owned()).collect())
        };
        let path = flags.config_file.clone();
        match file::read(&path, given("config_file").is_some()) {
            Ok(None) => check(&flags),
            Ok(Some(file)) => file::apply(&mut flags, file, &given)
                .and_then(|()| check(&flags).map_err(|error| anyhow!("{MERGED}{error}"))),
            Err(error) => Err(error),
        }
        .with_context(|| format!("unable to configure the Docker daemon with file {}", path.display()))?;
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
            log_level: if self.debug {
                "debug".to_owned()
            } else {
                level(&self.log_level).unwrap_or("info").to_owned()
            },
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
                max_downloads: parallel(self.max_concurrent_downloads),
                max_uploads: parallel(self.max_concurrent_uploads),
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

/// How many transfers 0 means, which is Docker's word for no limit: each is a thread.
fn parallel(limit: u32) -> usize {
    const MOST: u32 = 64;
    if limit == 0 { MOST as usize } else { limit as usize }
}

/// What this program's log calls a level; `None` if there is no such level.
fn level(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" | "warning" => "warn",
        "error" | "fatal" | "panic" => "error",
        _ => return None,
    })
}

/// `key=value` words as a map; the last of a key counts.
fn pairs(words: &[String]) -> BTreeMap<String, String> {
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Refuses what could only fail later, at the first pull.
fn check(flags: &Flags) -> Result<()> {
    for mirror in flags.registry_mirrors.iter().chain(flags.host_mirrors.values().flatten()) {
        check_mirror(mirror)?;
    }
    let mut labels = BTreeMap::new();
    for label in &flags.labels {
        match label.split_once('=').filter(|(key, _)| !key.is_empty()) {
            None => bail!("bad attribute format: {label}"),
            Some((key, value)) => match labels.insert(key, value) {
                Some(before) if before != value => {
                    bail!("conflict labels for {key}={value} and {key}={before}")
                }
                _ => {}
            },
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
    if let Some(domain) = flags.dns_search.iter().find(|domain| !is_domain(domain)) {
        bail!("{domain} is not a valid domain");
    }
    if level(&flags.log_level).is_none() {
        bail!("invalid logging level: {}", flags.log_level);
    }
    Ok(())
}

fn check_mirror(mirror: &str) -> Result<()> {
    const SCHEMES: &str = "must use either 'https://' or 'http://'";
    let Some((scheme, rest)) = mirror.split_once("://") else {
        bail!("invalid mirror: no scheme specified for {mirror:?}: {SCHEMES}");
    };
    if !matches!(scheme, "http" | "https") {
        bail!("invalid mirror: unsupported scheme {scheme:?} in {mirror:?}: {SCHEMES}");
    }
    if rest.contains(['?', '#']) {
        bail!("invalid mirror: query or fragment at end of the URI {mirror:?}");
    }
    if let Some((user, host)) = rest.rsplit_once('@') {
        // The password is not for the log.
        let name = user.split(':').next().unwrap_or_default();
        let shown = format!("{scheme}://{name}{}@{host}", if user.contains(':') { ":xxxxx" } else { "" });
        bail!("invalid mirror: username/password not allowed in URI {shown:?}");
    }
    if rest.is_empty() || rest.contains(' ') {
        bail!("invalid mirror: {mirror:?} is not a valid URI");
    }
    Ok(())
}

/// Whether a resolver can look for names in it; `.` means in none.
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    domain == "." || (domain.len() <= 255 && domain.trim_end_matches('.').split('.').all(label))
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
    fn what_says_nothing_changes_nothing() {
        for file in ["", "null", "\u{feff}{}", r#"{"debug": null, "labels": [], "data-root": ""}"#] {
            let settings = parse(&[], file).unwrap();
            assert_eq!(settings.engine.data_root, Path::new("/var/lib/wharf"), "{file}");
        }
        assert_eq!(parse(&[], r#"{"max-concurrent-downloads": 0}"#).unwrap().engine.max_downloads, 3);
        assert_eq!(parse(&["--max-concurrent-downloads", "0"], "").unwrap().engine.max_downloads, 64);
        let stated = r#"{"icc": true, "ipv6": false, "features": {"buildkit": true}, "userns-remap": "",
            "log-level": "Fatal", "log-format": "text"}"#;
        assert_eq!(parse(&[], stated).unwrap().log_level, "error");
        assert!(parse(&[], r#"{"icc": false}"#).is_err());
    }

    #[test]
    fn mistakes_are_named() {
        let message = |args: &[&str], file: &str| {
            let text = format!("{:#}", parse(args, file).unwrap_err());
            let (before, after) = text.split_once("daemon.json: ").unwrap_or(("", &text));
            assert!(
                before.is_empty() || before.starts_with("unable to configure the Docker daemon with file ")
            );
            after.to_owned()
        };
        let field = |rest: &str| format!("invalid JSON: json: cannot unmarshal {rest}");
        assert_eq!(
            message(&[], r#"{"nosuch": 1, "more": null}"#),
            "the following directives don't match any configuration option: nosuch, more"
        );
        assert!(message(&[], "{").contains("invalid JSON"));
        assert_eq!(message(&[], "[]"), field("array into Go value of type map[string]interface {}"));
        for (file, rest) in [
            (r#"{"debug": 1}"#, "number into Go struct field Config.debug of type bool"),
            (r#"{"hosts": "a"}"#, "string into Go struct field Config.hosts of type []string"),
            (
                r#"{"log-opts": {"max-file": 3}}"#,
                "number into Go struct field Config.log-opts.max-file of type string",
            ),
            (
                r#"{"max-concurrent-uploads": 1.5}"#,
                "number 1.5 into Go struct field Config.max-concurrent-uploads of type int",
            ),
        ] {
            assert_eq!(message(&[], file), field(rest));
        }
        assert_eq!(message(&[], r#"{"userns-remap": "a"}"#), "userns-remap: not supported");
        assert!(message(&[], r#"{"log-driver": "gelf"}"#).contains("\"gelf\" not found"));
        let options = r#"{"log-opts": {"max-sise": "1m"}}"#;
        assert!(message(&[], options).ends_with("unknown log opt 'max-sise' for json-file log driver"));
        assert!(message(&["--log-opt", "max-file=0"], "{}").contains("max-file"));
        assert_eq!(message(&[], r#"{"dns": ["a"]}"#), "invalid JSON: invalid IP address: a");
        assert_eq!(
            message(&[], r#"{"proxies": {"nosuch": "a"}}"#),
            "the following directives don't match any configuration option: nosuch"
        );
        for (file, words) in [
            (
                r#"{"registry-mirrors": ["ftp://a"]}"#,
                "invalid mirror: unsupported scheme \"ftp\" in \"ftp://a\": must use either 'https://' or 'http://'",
            ),
            (
                r#"{"registry-mirrors-by-host": {"r.example": ["http://u:p@a"]}}"#,
                "invalid mirror: username/password not allowed in URI \"http://u:xxxxx@a\"",
            ),
            (r#"{"labels": ["a"]}"#, "bad attribute format: a"),
            (r#"{"labels": ["a=1", "a=2"]}"#, "conflict labels for a=2 and a=1"),
            (r#"{"dns-search": ["a b"]}"#, "a b is not a valid domain"),
            (r#"{"log-level": "loud"}"#, "invalid logging level: loud"),
            (r#"{"max-download-attempts": -1}"#, "invalid max download attempts: -1"),
        ] {
            assert_eq!(message(&[], file), format!("{MERGED}{words}"));
        }
        assert!(message(&["--nosuch"], "{}").contains("--nosuch"));
    }

    #[test]
    fn what_is_said_twice_is_shown_in_both_forms() {
        let twice = |args: &[&str], file: &str| {
            let text = format!("{:#}", parse(args, file).unwrap_err());
            text.split_once("in the configuration file: ").unwrap().1.to_owned()
        };
        assert_eq!(twice(&["--debug"], r#"{"debug": false}"#), "debug: (from flag: true, from file: false)");
        let both = r#"{"bridge": "b", "labels": ["a=2", "c=3"]}"#;
        assert_eq!(
            twice(&["--bridge", "a", "--label", "a=1"], both),
            "bridge: (from flag: a, from file: b), labels: (from flag: [a=1], from file: [a=2 c=3])"
        );
        assert_eq!(
            twice(&["--log-opt", "max-size=1m"], r#"{"log-opts": {"max-size": "2m"}}"#),
            "log-opts: (from flag: map[max-size:1m], from file: map[max-size:2m])"
        );
        assert_eq!(
            twice(&["--http-proxy", "http://a"], r#"{"proxies": {"http-proxy": "http://b"}}"#),
            "http-proxy: (from flag: http://a, from file: http://b)"
        );
    }
}

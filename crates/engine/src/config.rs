//! How one engine is set up: its folders and the daemon's settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use wharf_api::container::LogConfig;
pub use wharf_registry::Proxies;

use crate::{
    Error, Result,
    container::{log_bounds, validate_logging},
};

/// Settings of an engine, from flags and `daemon.json`.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Durable state.
    pub data_root: PathBuf,
    /// State that a reboot may lose.
    pub exec_root: PathBuf,
    /// Name of the default bridge.
    pub bridge: String,
    /// Address and prefix of the default bridge (`192.0.2.1/24`); chosen if not given.
    pub bip: Option<String>,
    /// Cgroup under which containers are put.
    pub cgroup_parent: String,
    /// Run a reaper as first process in every container.
    pub init: bool,
    /// Registries that may be spoken to without TLS, besides those on loopback.
    pub insecure_registries: Vec<String>,
    /// Mirrors of the default registry.
    pub registry_mirrors: Vec<String>,
    /// Mirrors of other registries, by host.
    pub host_mirrors: BTreeMap<String, Vec<String>>,
    /// Proxies for registries; empty ones are the environment's.
    pub proxies: Proxies,
    /// Layers of a pull that are downloaded at once.
    pub max_downloads: usize,
    /// Layers of a push that are uploaded at once.
    pub max_uploads: usize,
    /// How often a broken transfer is taken up again.
    pub max_attempts: u32,
    /// Name servers of containers that name none themselves.
    pub dns: Vec<String>,
    /// Search domains, in the same way.
    pub dns_search: Vec<String>,
    /// Resolver options, in the same way.
    pub dns_options: Vec<String>,
    /// Labels of this engine, as `info` shows them.
    pub labels: Vec<String>,
    /// Log driver of containers that name none themselves.
    pub log_driver: String,
    /// Options of that driver, for containers that do not set them.
    pub log_options: BTreeMap<String, String>,
    /// Containers run on when the engine is told to end; otherwise it stops them.
    pub live_restore: bool,
    /// Debug logging is on.
    pub debug: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            data_root: "/var/lib/wharf".into(),
            exec_root: "/run/wharf".into(),
            bridge: String::new(),
            bip: None,
            cgroup_parent: "wharf".to_owned(),
            init: false,
            insecure_registries: Vec::new(),
            registry_mirrors: Vec::new(),
            host_mirrors: BTreeMap::new(),
            proxies: Proxies::default(),
            max_downloads: 3,
            max_uploads: 5,
            max_attempts: 5,
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            labels: Vec::new(),
            log_driver: "json-file".to_owned(),
            log_options: BTreeMap::new(),
            live_restore: false,
            debug: false,
        }
    }
}

impl EngineConfig {
    /// Checks the log driver and its options.
    ///
    /// # Errors
    /// As a container with this driver and these options would get when it is created or started.
    pub fn check_log(&self) -> Result<()> {
        let log = self.default_log();
        validate_logging(&log)?;
        log_bounds(&log).map_err(|error| Error::invalid(error.to_string()))?;
        Ok(())
    }

    /// The log configuration of a container that asks for nothing.
    pub(crate) fn default_log(&self) -> LogConfig {
        let options = self.log_options.iter().map(|(key, value)| (key.clone(), value.clone()));
        LogConfig { kind: self.log_driver.clone(), config: Some(options.collect()) }
    }
}

/// The folders of an engine, and the binary it runs from.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Durable state.
    pub data_root: PathBuf,
    /// State that a reboot may lose.
    pub exec_root: PathBuf,
    /// The running binary, for `--init` and the embedded images.
    pub binary: PathBuf,
}

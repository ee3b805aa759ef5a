//! What the engine says of itself and its host.

use std::{collections::BTreeMap, fs, path::Path, sync::PoisonError};

use jiff::Timestamp;
use rustix::system::{sysinfo, uname};
use wharf_api::{
    system::{Component, IndexConfig, Info, Platform, Plugins, RegistryConfig, Runtime, Swarm, Version},
    time::rfc3339_nano,
    version::{MAX, MIN},
};

use crate::{Engine, EngineConfig, container::Status};

/// Version of the engine.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit the engine was built from, where the build knew it.
pub const COMMIT: &str = match option_env!("WHARF_BUILD") {
    Some(commit) => commit,
    None => "unknown",
};

/// Networks whose registries may always be insecure.
const LOOPBACK: [&str; 2] = ["::1/128", "127.0.0.0/8"];

/// What `info` says of registries.
fn registry_config(config: &EngineConfig) -> RegistryConfig {
    // compat: mirrors are shown with a slash at the end.
    let slashed = |mirror: &String| format!("{}/", mirror.trim_end_matches('/'));
    let mirrors: Vec<String> = config.registry_mirrors.iter().map(slashed).collect();
    let index = |name: &str, mirrors: Vec<String>, secure| IndexConfig {
        mirrors,
        name: name.to_owned(),
        official: name == "docker.io",
        secure,
    };
    let (mut networks, mut hosts): (Vec<String>, Vec<&String>) = (Vec::new(), Vec::new());
    for entry in &config.insecure_registries {
        if entry.parse::<ipnet::IpNet>().is_ok() { networks.push(entry.clone()) } else { hosts.push(entry) }
    }
    for network in LOOPBACK {
        if !networks.iter().any(|known| known == network) {
            networks.push(network.to_owned());
        }
    }
    let mut index_configs: BTreeMap<String, IndexConfig> =
        hosts.into_iter().map(|host| (host.clone(), index(host, Vec::new(), false))).collect();
    for (host, own) in &config.host_mirrors {
        let known = index_configs.entry(host.clone()).or_insert_with(|| index(host, Vec::new(), true));
        known.mirrors.extend(own.iter().map(slashed));
    }
    let hub =
        index_configs.entry("docker.io".to_owned()).or_insert_with(|| index("docker.io", Vec::new(), true));
    hub.mirrors.extend(mirrors.iter().cloned());
    RegistryConfig {
        index_configs,
        insecure_registry_cidrs: networks,
        mirrors: (!mirrors.is_empty()).then_some(mirrors),
    }
}

impl Engine {
    /// The settings in effect.
    pub(crate) fn live(&self) -> EngineConfig {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over those settings that can change while the engine runs: debug, labels, live-restore, and all about registries.
    pub fn reload(&self, new: EngineConfig) {
        let mut live = self.live();
        live.debug = new.debug;
        live.labels = new.labels;
        live.live_restore = new.live_restore;
        live.insecure_registries = new.insecure_registries;
        live.registry_mirrors = new.registry_mirrors;
        live.host_mirrors = new.host_mirrors;
        live.proxies = new.proxies;
        live.max_downloads = new.max_downloads;
        live.max_uploads = new.max_uploads;
        live.max_attempts = new.max_attempts;
        self.images.reload(&live);
        let list = |items: &[String]| serde_json::json!(items).to_string();
        let attributes = [
            ("name", uname().nodename().to_string_lossy().into_owned()),
            ("debug", live.debug.to_string()),
            ("labels", list(&live.labels)),
            ("insecure-registries", list(&live.insecure_registries)),
            ("registry-mirrors", list(&live.registry_mirrors)),
            ("live-restore", live.live_restore.to_string()),
            ("max-concurrent-downloads", live.max_downloads.to_string()),
            ("max-concurrent-uploads", live.max_uploads.to_string()),
            ("max-download-attempts", live.max_attempts.to_string()),
        ];
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        self.events.publish("daemon", "reload", &self.id, attributes);
    }

    /// Versions of the engine and the API.
    pub fn version(&self) -> Version {
        let system = uname();
        let kernel = system.release().to_string_lossy().into_owned();
        let details = BTreeMap::from(
            [
                ("ApiVersion", MAX.to_string()),
                ("MinAPIVersion", MIN.to_string()),
                ("Arch", architecture().to_owned()),
                ("GitCommit", COMMIT.to_owned()),
                ("KernelVersion", kernel.clone()),
                ("Os", "linux".to_owned()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        Version {
            platform: Platform { name: "wharf".to_owned() },
            components: vec![Component { name: "Engine".to_owned(), version: VERSION.to_owned(), details }],
            version: VERSION.to_owned(),
            api_version: MAX.to_string(),
            min_api_version: MIN.to_string(),
            git_commit: COMMIT.to_owned(),
            os: "linux".to_owned(),
            arch: architecture().to_owned(),
            kernel_version: kernel,
            ..Version::default()
        }
    }

    /// State and abilities of the engine and its host.
    pub fn info(&self) -> Info {
        let statuses: Vec<_> = self.containers.all().iter().map(|entry| entry.get().state.status).collect();
        let count =
            |wanted: fn(&Status) -> bool| statuses.iter().filter(|status| wanted(status)).count() as i64;
        let running = count(|status| matches!(status, Status::Running | Status::Restarting));
        let paused = count(|status| *status == Status::Paused);
        let system = uname();
        let live = self.live();
        let proxies = live.proxies.effective();
        let mut info = Info {
            id: self.id.clone(),
            containers: statuses.len() as i64,
            containers_running: running,
            containers_paused: paused,
            containers_stopped: statuses.len() as i64 - running - paused,
            images: self
                .db
                .read(|view| self.store.images().list(view))
                .map_or(0, |images| images.len() as i64),
            driver: "overlay2".to_owned(),
            driver_status: self.driver_status(),
            plugins: plugins(),
            debug: live.debug,
            n_fd: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64),
            n_goroutines: fs::read_dir("/proc/self/task").map_or(0, |entries| entries.count() as i64),
            system_time: rfc3339_nano(Timestamp::now()),
            logging_driver: live.log_driver.clone(),
            cgroup_driver: "cgroupfs".to_owned(),
            cgroup_version: if self.unified_cgroups() { "2" } else { "1" }.to_owned(),
            kernel_version: system.release().to_string_lossy().into_owned(),
            operating_system: operating_system(),
            os_type: "linux".to_owned(),
            architecture: system.machine().to_string_lossy().into_owned(),
            index_server_address: "https://index.docker.io/v1/".to_owned(),
            n_cpu: self.cpus as i64,
            mem_total: i64::try_from(sysinfo().totalram).unwrap_or(i64::MAX),
            docker_root_dir: self.paths.data_root.display().to_string(),
            name: system.nodename().to_string_lossy().into_owned(),
            labels: live.labels.clone(),
            registry_config: Some(registry_config(&live)),
            http_proxy: proxies.http,
            https_proxy: proxies.https,
            no_proxy: proxies.none,
            server_version: VERSION.to_owned(),
            ..Info::default()
        };
        self.abilities(&mut info);
        info
    }

    /// Limits the kernel supports, runtimes and what else clients look at.
    fn abilities(&self, info: &mut Info) {
        info.memory_limit = true;
        info.swap_limit =
            self.unified_cgroups() || Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists();
        info.kernel_memory_tcp = !self.unified_cgroups();
        info.oom_kill_disable = !self.unified_cgroups();
        (info.cpu_cfs_period, info.cpu_cfs_quota, info.cpu_shares, info.cpu_set) = (true, true, true, true);
        info.pids_limit = true;
        info.ipv4_forwarding =
            fs::read("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.starts_with(b"1"));
        let runtime = Runtime { path: "wharf".to_owned(), ..Runtime::default() };
        info.runtimes = BTreeMap::from([("runc".to_owned(), runtime)]);
        info.default_runtime = "runc".to_owned();
        info.swarm = Swarm { local_node_state: "inactive".to_owned(), ..Swarm::default() };
        info.live_restore_enabled = self.live().live_restore;
        info.init_binary = "docker-init".to_owned();
        info.security_options = vec!["name=seccomp,profile=builtin".to_owned()];
        if self.unified_cgroups() {
            info.security_options.push("name=cgroupns".to_owned());
        }
    }

    fn driver_status(&self) -> Vec<[String; 2]> {
        let pairs = [
            ("Backing Filesystem", file_system(&self.paths.data_root)),
            ("Supports d_type", "true".to_owned()),
            ("Using metacopy", "false".to_owned()),
            ("Native Overlay Diff", "true".to_owned()),
            ("userxattr", "false".to_owned()),
        ];
        pairs.map(|(key, value)| [key.to_owned(), value]).to_vec()
    }
}

fn plugins() -> Plugins {
    let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    Plugins {
        volume: names(&["local"]),
        network: names(&["bridge", "host", "null"]),
        authorization: None,
        log: names(&["json-file", "local", "none"]),
    }
}

/// Go's name of the processor, which the API uses.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `PRETTY_NAME` of os-release(5).
fn operating_system() -> String {
    let text =
        ["/etc/os-release", "/usr/lib/os-release"].into_iter().find_map(|path| fs::read_to_string(path).ok());
    let text = text.unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value.map_or("Linux", |value| value.trim_matches('"')).to_owned()
}

/// Name of the file system a folder is on, as the Docker engine calls it.
fn file_system(folder: &Path) -> String {
    let name = match rustix::fs::statfs(folder).map(|stat| stat.f_type as u64) {
        Ok(0xef53) => "extfs",
        Ok(0x5846_5342) => "xfs",
        Ok(0x9123_683e) => "btrfs",
        Ok(0x0102_1994) => "tmpfs",
        Ok(0x794c_7630) => "overlayfs",
        _ => "<unknown>",
    };
    name.to_owned()
}

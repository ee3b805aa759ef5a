//! The engine itself: `/version`, `/info`, `/system/df`.

use std::collections::BTreeMap;

use crate::container;
use crate::go::omit;
use crate::image;
use crate::volume::Volume;

document! {
    /// The answer of `GET /version`.
    #[serde(rename_all = "PascalCase")]
    pub struct Version {
        /// Edition.
        pub platform: Platform,
        /// Parts and their versions; the first is the engine.
        pub components: Vec<Component>,
        /// Version of the engine.
        pub version: String,
        /// Newest API version served.
        pub api_version: String,
        /// Oldest API version served.
        #[serde(rename = "MinAPIVersion")]
        pub min_api_version: String,
        /// Commit it was built from.
        pub git_commit: String,
        /// Go version; here the compiler's.
        pub go_version: String,
        /// `linux`.
        pub os: String,
        /// Architecture in Go's words.
        pub arch: String,
        /// Kernel release.
        #[serde(skip_serializing_if = "omit")]
        pub kernel_version: String,
        /// Experimental features are on.
        #[serde(skip_serializing_if = "omit")]
        pub experimental: bool,
        /// RFC 3339.
        #[serde(skip_serializing_if = "omit")]
        pub build_time: String,
    }
}

document! {
    /// Edition of the engine.
    #[serde(rename_all = "PascalCase")]
    pub struct Platform {
        /// Its name.
        pub name: String,
    }
}

document! {
    /// A part of the engine.
    #[serde(rename_all = "PascalCase")]
    pub struct Component {
        /// Its name.
        pub name: String,
        /// Its version.
        pub version: String,
        /// More about it.
        #[serde(skip_serializing_if = "omit")]
        pub details: BTreeMap<String, String>,
    }
}

document! {
    /// The answer of `GET /info`.
    #[serde(rename_all = "PascalCase")]
    pub struct Info {
        /// Id of this engine.
        #[serde(rename = "ID")]
        pub id: String,
        /// All containers.
        pub containers: i64,
        /// Running ones, paused ones included.
        pub containers_running: i64,
        /// Paused ones.
        pub containers_paused: i64,
        /// The others.
        pub containers_stopped: i64,
        /// Images.
        pub images: i64,
        /// Storage driver.
        pub driver: String,
        /// Key and value pairs about it.
        pub driver_status: Vec<[String; 2]>,
        /// Plugins.
        pub plugins: Plugins,
        /// The kernel can limit memory.
        pub memory_limit: bool,
        /// The kernel can limit swap.
        pub swap_limit: bool,
        /// No longer used.
        #[serde(skip_serializing_if = "omit")]
        pub kernel_memory: bool,
        /// The kernel can limit TCP buffers.
        #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "omit")]
        pub kernel_memory_tcp: bool,
        /// The kernel has processor periods.
        pub cpu_cfs_period: bool,
        /// The kernel has processor quotas.
        pub cpu_cfs_quota: bool,
        /// The kernel has processor shares.
        #[serde(rename = "CPUShares")]
        pub cpu_shares: bool,
        /// The kernel has processor sets.
        #[serde(rename = "CPUSet")]
        pub cpu_set: bool,
        /// The kernel can limit processes.
        pub pids_limit: bool,
        /// Forwarding is on.
        #[serde(rename = "IPv4Forwarding")]
        pub ipv4_forwarding: bool,
        /// Debug mode is on.
        pub debug: bool,
        /// Open files of the daemon.
        #[serde(rename = "NFd")]
        pub n_fd: i64,
        /// The kernel can switch off the OOM killer.
        pub oom_kill_disable: bool,
        /// Go's goroutines; here the threads of the daemon.
        pub n_goroutines: i64,
        /// RFC 3339.
        pub system_time: String,
        /// Default log driver.
        pub logging_driver: String,
        /// `cgroupfs` or `systemd`.
        pub cgroup_driver: String,
        /// `1` or `2`.
        #[serde(skip_serializing_if = "omit")]
        pub cgroup_version: String,
        /// Clients that follow events.
        pub n_events_listener: i64,
        /// Kernel release.
        pub kernel_version: String,
        /// Name of the distribution.
        pub operating_system: String,
        /// Its version.
        #[serde(rename = "OSVersion")]
        pub os_version: String,
        /// `linux`.
        #[serde(rename = "OSType")]
        pub os_type: String,
        /// Architecture in the kernel's words.
        pub architecture: String,
        /// The default registry.
        pub index_server_address: String,
        /// Registries.
        pub registry_config: Option<RegistryConfig>,
        /// Processors.
        #[serde(rename = "NCPU")]
        pub n_cpu: i64,
        /// Bytes.
        pub mem_total: i64,
        /// Only for swarm.
        pub generic_resources: Option<Vec<serde_json::Value>>,
        /// Data root.
        pub docker_root_dir: String,
        /// Proxy of the daemon.
        pub http_proxy: String,
        /// Proxy of the daemon.
        pub https_proxy: String,
        /// Proxy of the daemon.
        pub no_proxy: String,
        /// Host name.
        pub name: String,
        /// Labels of the daemon.
        pub labels: Vec<String>,
        /// Experimental features are on.
        pub experimental_build: bool,
        /// Version of the engine.
        pub server_version: String,
        /// OCI runtimes.
        pub runtimes: BTreeMap<String, Runtime>,
        /// The one used without `--runtime`.
        pub default_runtime: String,
        /// Swarm; always inactive.
        pub swarm: Swarm,
        /// Containers outlive the daemon.
        pub live_restore_enabled: bool,
        /// Only has a meaning on other systems.
        pub isolation: String,
        /// Program of `--init`.
        pub init_binary: String,
        /// Commit.
        pub containerd_commit: Commit,
        /// Commit.
        pub runc_commit: Commit,
        /// Commit.
        pub init_commit: Commit,
        /// For example `name=seccomp,profile=builtin`.
        pub security_options: Vec<String>,
        /// Licence text of commercial editions.
        #[serde(skip_serializing_if = "omit")]
        pub product_license: String,
        /// Pools that new networks come from.
        #[serde(skip_serializing_if = "omit")]
        pub default_address_pools: Vec<AddressPool>,
        /// Firewall.
        #[serde(skip_serializing_if = "omit")]
        pub firewall_backend: Option<FirewallBackend>,
        /// Where device specifications lie.
        #[serde(rename = "CDISpecDirs")]
        pub cdi_spec_dirs: Vec<String>,
        /// containerd.
        #[serde(skip_serializing_if = "omit")]
        pub containerd: Option<Containerd>,
        /// What the administrator should know.
        pub warnings: Option<Vec<String>>,
    }
}

document! {
    /// Plugins by kind.
    #[serde(rename_all = "PascalCase")]
    pub struct Plugins {
        /// Volume drivers.
        pub volume: Option<Vec<String>>,
        /// Network drivers.
        pub network: Option<Vec<String>>,
        /// Authorization plugins.
        pub authorization: Option<Vec<String>>,
        /// Log drivers.
        pub log: Option<Vec<String>>,
    }
}

document! {
    /// Registries.
    #[serde(rename_all = "PascalCase")]
    pub struct RegistryConfig {
        /// By host.
        pub index_configs: BTreeMap<String, IndexConfig>,
        /// Networks whose registries need no TLS.
        #[serde(rename = "InsecureRegistryCIDRs")]
        pub insecure_registry_cidrs: Vec<String>,
        /// Mirrors of the default registry.
        pub mirrors: Option<Vec<String>>,
    }
}

document! {
    /// A registry.
    #[serde(rename_all = "PascalCase")]
    pub struct IndexConfig {
        /// Its mirrors.
        pub mirrors: Vec<String>,
        /// Host.
        pub name: String,
        /// The default registry.
        pub official: bool,
        /// Needs TLS.
        pub secure: bool,
    }
}

document! {
    /// An OCI runtime.
    pub struct Runtime {
        /// Program.
        #[serde(skip_serializing_if = "omit")]
        pub path: String,
        /// Further arguments.
        #[serde(rename = "runtimeArgs", skip_serializing_if = "omit")]
        pub args: Vec<String>,
        /// What it tells about itself.
        #[serde(skip_serializing_if = "omit")]
        pub status: BTreeMap<String, String>,
    }
}

document! {
    /// Swarm as the engine sees it.
    #[serde(rename_all = "PascalCase")]
    pub struct Swarm {
        /// Node.
        #[serde(rename = "NodeID")]
        pub node_id: String,
        /// Its address.
        pub node_addr: String,
        /// `inactive`.
        pub local_node_state: String,
        /// Is a manager.
        pub control_available: bool,
        /// What went wrong.
        pub error: String,
        /// Managers.
        pub remote_managers: Option<Vec<serde_json::Value>>,
    }
}

document! {
    /// A commit.
    pub struct Commit {
        /// Its hash.
        #[serde(rename = "ID")]
        pub id: String,
    }
}

document! {
    /// A pool that new networks come from.
    #[serde(rename_all = "PascalCase")]
    pub struct AddressPool {
        /// The whole pool.
        pub base: String,
        /// Prefix length of the pieces.
        pub size: i64,
    }
}

document! {
    /// Firewall in use.
    #[serde(rename_all = "PascalCase")]
    pub struct FirewallBackend {
        /// Its name.
        pub driver: String,
        /// Key and value pairs about it.
        #[serde(skip_serializing_if = "omit")]
        pub info: Vec<[String; 2]>,
    }
}

document! {
    /// containerd.
    #[serde(rename_all = "PascalCase")]
    pub struct Containerd {
        /// Its socket.
        #[serde(skip_serializing_if = "omit")]
        pub address: String,
        /// Its namespaces.
        pub namespaces: ContainerdNamespaces,
    }
}

document! {
    /// Namespaces in containerd.
    #[serde(rename_all = "PascalCase")]
    pub struct ContainerdNamespaces {
        /// Of containers.
        pub containers: String,
        /// Of plugins.
        pub plugins: String,
    }
}

document! {
    /// The answer of `POST /wharf/check`, a call of this engine's own.
    #[serde(rename_all = "PascalCase")]
    pub struct CheckReport {
        /// Where records and files do not agree.
        pub problems: Vec<CheckProblem>,
    }
}

document! {
    /// Something that is not as it should be.
    #[serde(rename_all = "PascalCase")]
    pub struct CheckProblem {
        /// What it is about.
        pub subject: String,
        /// What is wrong with it.
        pub what: String,
        /// It has been put right.
        pub mended: bool,
    }
}

document! {
    /// The answer of `GET /system/df`.
    #[serde(rename_all = "PascalCase")]
    pub struct DiskUsage {
        /// Bytes of all layers, each counted once.
        pub layers_size: i64,
        /// Images.
        pub images: Option<Vec<image::Summary>>,
        /// Containers.
        pub containers: Option<Vec<container::Summary>>,
        /// Volumes.
        pub volumes: Option<Vec<Volume>>,
        /// Build cache.
        pub build_cache: Option<Vec<BuildCache>>,
    }
}

document! {
    /// An entry of the build cache.
    #[serde(rename_all = "PascalCase")]
    pub struct BuildCache {
        /// Id.
        #[serde(rename = "ID")]
        pub id: String,
        /// Entries it builds on.
        #[serde(skip_serializing_if = "omit")]
        pub parents: Vec<String>,
        /// `regular`, `source.local`, …
        #[serde(rename = "Type")]
        pub kind: String,
        /// What made it.
        pub description: String,
        /// A build uses it now.
        pub in_use: bool,
        /// Shared with an image.
        pub shared: bool,
        /// Bytes.
        pub size: i64,
        /// RFC 3339.
        pub created_at: String,
        /// RFC 3339.
        pub last_used_at: Option<String>,
        /// Times it was used.
        pub usage_count: i64,
    }
}

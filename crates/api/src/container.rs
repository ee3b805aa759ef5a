//! Containers: `/containers/…`.

use std::collections::BTreeMap;

use crate::go::{Map, Set, StrSlice, omit};
pub use crate::host_config::{
    DeviceMapping, DeviceRequest, HostConfig, LogConfig, PortBinding, PortMap, Resources, RestartPolicy,
    ThrottleDevice, Ulimit, WeightDevice,
};
pub use crate::mount::{Mount, MountPoint};
pub use crate::network::EndpointSettings;
pub use crate::stats::Stats;

document! {
    /// What a container runs: the part of its configuration that does not depend on the host.
    #[serde(rename_all = "PascalCase")]
    pub struct Config {
        /// Host name.
        pub hostname: String,
        /// Domain name.
        pub domainname: String,
        /// `user`, `uid`, `user:group` or `uid:gid`.
        pub user: String,
        /// The client wants the standard input.
        pub attach_stdin: bool,
        /// The client wants the standard output.
        pub attach_stdout: bool,
        /// The client wants the standard error.
        pub attach_stderr: bool,
        /// `PORT/PROTOCOL` the container listens on.
        #[serde(skip_serializing_if = "omit")]
        pub exposed_ports: Set,
        /// Has a terminal.
        pub tty: bool,
        /// Standard input stays open without an attached client.
        pub open_stdin: bool,
        /// Standard input closes when the first attached client goes.
        pub stdin_once: bool,
        /// `NAME=value` list.
        pub env: Option<Vec<String>>,
        /// Command, or the entry point's arguments.
        pub cmd: Option<StrSlice>,
        /// How to tell whether it is healthy.
        #[serde(skip_serializing_if = "omit")]
        pub healthcheck: Option<Healthcheck>,
        /// Only has a meaning on other systems.
        #[serde(skip_serializing_if = "omit")]
        pub args_escaped: bool,
        /// The image as the user named it.
        pub image: String,
        /// Paths that get an anonymous volume.
        pub volumes: Option<Set>,
        /// Working directory.
        pub working_dir: String,
        /// Entry point.
        pub entrypoint: Option<StrSlice>,
        /// Has no network at all.
        #[serde(skip_serializing_if = "omit")]
        pub network_disabled: bool,
        /// Hardware address; moved to the endpoint settings since API 1.44.
        #[serde(skip_serializing_if = "omit")]
        pub mac_address: String,
        /// Instructions for builds on top of it.
        pub on_build: Option<Vec<String>>,
        /// Labels.
        pub labels: Map,
        /// Signal that stops it; empty means SIGTERM.
        #[serde(skip_serializing_if = "omit")]
        pub stop_signal: String,
        /// Seconds before it is killed after the stop signal.
        #[serde(skip_serializing_if = "omit")]
        pub stop_timeout: Option<i64>,
        /// Shell for the shell form of commands.
        #[serde(skip_serializing_if = "omit")]
        pub shell: StrSlice,
    }
}

document! {
    /// A health check; durations are in nanoseconds, 0 means the default.
    #[serde(rename_all = "PascalCase")]
    pub struct Healthcheck {
        /// `NONE`, `CMD args…` or `CMD-SHELL command`; empty means the image's.
        #[serde(skip_serializing_if = "omit")]
        pub test: Vec<String>,
        /// Time between two probes.
        #[serde(skip_serializing_if = "omit")]
        pub interval: i64,
        /// Time after which a probe failed.
        #[serde(skip_serializing_if = "omit")]
        pub timeout: i64,
        /// Time after the start in which failures do not count.
        #[serde(skip_serializing_if = "omit")]
        pub start_period: i64,
        /// Time between two probes in the start period.
        #[serde(skip_serializing_if = "omit")]
        pub start_interval: i64,
        /// Failures in a row that make it unhealthy.
        #[serde(skip_serializing_if = "omit")]
        pub retries: i64,
    }
}

document! {
    /// The body of `POST /containers/create`.
    #[serde(rename_all = "PascalCase")]
    pub struct CreateRequest {
        flatten {
            /// What to run.
            pub config: Config
        }
        /// How the host runs it.
        #[serde(skip_serializing_if = "omit")]
        pub host_config: Option<HostConfig>,
        /// Networks to connect.
        #[serde(skip_serializing_if = "omit")]
        pub networking_config: Option<NetworkingConfig>,
    }
}

document! {
    /// Networks to connect at creation.
    #[serde(rename_all = "PascalCase")]
    pub struct NetworkingConfig {
        /// Settings by network name or id.
        pub endpoints_config: BTreeMap<String, Option<EndpointSettings>>,
    }
}

document! {
    /// The answer of `POST /containers/create`.
    #[serde(rename_all = "PascalCase")]
    pub struct CreateResponse {
        /// The new container's id.
        pub id: String,
        /// What was accepted with reservations.
        pub warnings: Vec<String>,
    }
}

document! {
    /// The answer of `GET /containers/{id}/json`.
    #[serde(rename_all = "PascalCase")]
    pub struct Inspect {
        /// 64 hexadecimal digits.
        pub id: String,
        /// RFC 3339.
        pub created: String,
        /// The program that runs.
        pub path: String,
        /// Its arguments.
        pub args: Vec<String>,
        /// What it is doing.
        pub state: State,
        /// Id of the image.
        pub image: String,
        /// The file behind `/etc/resolv.conf`.
        pub resolv_conf_path: String,
        /// The file behind `/etc/hostname`.
        pub hostname_path: String,
        /// The file behind `/etc/hosts`.
        pub hosts_path: String,
        /// The log file of the json-file driver.
        pub log_path: String,
        /// Name with a leading slash.
        pub name: String,
        /// Restarts by policy so far.
        pub restart_count: i64,
        /// Storage driver.
        pub driver: String,
        /// `linux`.
        pub platform: String,
        /// SELinux label of mounts.
        pub mount_label: String,
        /// SELinux label of the process.
        pub process_label: String,
        /// AppArmor profile.
        pub app_armor_profile: String,
        /// Exec sessions that are running.
        #[serde(rename = "ExecIDs")]
        pub exec_ids: Option<Vec<String>>,
        /// How the host runs it.
        pub host_config: HostConfig,
        /// Where its root filesystem lies.
        pub graph_driver: DriverData,
        /// Bytes written in its own layer; only with `size=1`.
        #[serde(skip_serializing_if = "omit")]
        pub size_rw: Option<i64>,
        /// Bytes of its whole root filesystem; only with `size=1`.
        #[serde(skip_serializing_if = "omit")]
        pub size_root_fs: Option<i64>,
        /// Its mounts.
        pub mounts: Vec<MountPoint>,
        /// What it runs.
        pub config: Config,
        /// Its networks.
        pub network_settings: NetworkSettings,
    }
}

document! {
    /// A storage driver and where it keeps things.
    #[serde(rename_all = "PascalCase")]
    pub struct DriverData {
        /// Directories by role.
        pub data: Map,
        /// Name of the driver.
        pub name: String,
    }
}

document! {
    /// What a container is doing.
    #[serde(rename_all = "PascalCase")]
    pub struct State {
        /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
        pub status: String,
        /// Has a process; also true when paused or restarting.
        pub running: bool,
        /// Frozen.
        pub paused: bool,
        /// Between two runs.
        pub restarting: bool,
        /// The kernel killed a process for want of memory.
        #[serde(rename = "OOMKilled")]
        pub oom_killed: bool,
        /// Could not be removed entirely.
        pub dead: bool,
        /// Process id as the host sees it; 0 when it does not run.
        pub pid: i64,
        /// Exit code of the last run.
        pub exit_code: i64,
        /// Why the last start failed.
        pub error: String,
        /// RFC 3339.
        pub started_at: String,
        /// RFC 3339.
        pub finished_at: String,
        /// Health, for a container with a health check.
        #[serde(skip_serializing_if = "omit")]
        pub health: Option<Health>,
    }
}

document! {
    /// Health of a container.
    #[serde(rename_all = "PascalCase")]
    pub struct Health {
        /// `none`, `starting`, `healthy` or `unhealthy`.
        pub status: String,
        /// Failures in a row.
        pub failing_streak: i64,
        /// The last five probes.
        pub log: Option<Vec<HealthcheckResult>>,
    }
}

document! {
    /// Outcome of one probe.
    #[serde(rename_all = "PascalCase")]
    pub struct HealthcheckResult {
        /// RFC 3339.
        pub start: String,
        /// RFC 3339.
        pub end: String,
        /// 0 is healthy, -1 a timeout.
        pub exit_code: i64,
        /// What it printed, at most 4096 bytes.
        pub output: String,
    }
}

document! {
    /// Networks of a container. The unnamed address fields repeat those of the default bridge.
    #[serde(rename_all = "PascalCase")]
    pub struct NetworkSettings {
        /// No longer used.
        pub bridge: String,
        /// Id of the network namespace.
        #[serde(rename = "SandboxID")]
        pub sandbox_id: String,
        /// File that holds the network namespace.
        pub sandbox_key: String,
        /// Published ports, and exposed ones that are not published as `null`.
        pub ports: Option<PortMap>,
        /// No longer used.
        pub hairpin_mode: bool,
        /// No longer used.
        #[serde(rename = "LinkLocalIPv6Address")]
        pub link_local_ipv6_address: String,
        /// No longer used.
        #[serde(rename = "LinkLocalIPv6PrefixLen")]
        pub link_local_ipv6_prefix_len: i64,
        /// No longer used.
        #[serde(rename = "SecondaryIPAddresses")]
        pub secondary_ip_addresses: Option<Vec<Address>>,
        /// No longer used.
        #[serde(rename = "SecondaryIPv6Addresses")]
        pub secondary_ipv6_addresses: Option<Vec<Address>>,
        /// Endpoint on the default bridge.
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        /// Gateway on the default bridge.
        pub gateway: String,
        /// IPv6 address on the default bridge.
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        /// Its prefix length.
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: i64,
        /// Address on the default bridge.
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        /// Its prefix length.
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: i64,
        /// IPv6 gateway on the default bridge.
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        /// Hardware address on the default bridge.
        pub mac_address: String,
        /// Endpoints by network name.
        pub networks: Option<BTreeMap<String, EndpointSettings>>,
    }
}

document! {
    /// An address with its prefix length.
    #[serde(rename_all = "PascalCase")]
    pub struct Address {
        /// The address.
        pub addr: String,
        /// Its prefix length.
        pub prefix_len: i64,
    }
}

document! {
    /// A row of `GET /containers/json`.
    #[serde(rename_all = "PascalCase")]
    pub struct Summary {
        /// 64 hexadecimal digits.
        pub id: String,
        /// Names with a leading slash.
        pub names: Vec<String>,
        /// The image as the user named it, or its id when that name now means another image.
        pub image: String,
        /// Id of the image.
        #[serde(rename = "ImageID")]
        pub image_id: String,
        /// Program and arguments, joined by spaces.
        pub command: String,
        /// Seconds since the epoch.
        pub created: i64,
        /// Exposed and published ports.
        pub ports: Vec<Port>,
        /// Bytes written in its own layer; only with `size=1`.
        #[serde(skip_serializing_if = "omit")]
        pub size_rw: i64,
        /// Bytes of its whole root filesystem; only with `size=1`.
        #[serde(skip_serializing_if = "omit")]
        pub size_root_fs: i64,
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// As [`State::status`].
        pub state: String,
        /// The state in words, for example `Up 2 hours (healthy)`.
        pub status: String,
        /// The few host settings that the list shows.
        pub host_config: SummaryHostConfig,
        /// Its networks.
        pub network_settings: SummaryNetworkSettings,
        /// Its mounts.
        pub mounts: Vec<MountPoint>,
    }
}

document! {
    /// A port in the container list.
    #[serde(rename_all = "PascalCase")]
    pub struct Port {
        /// Address on the host.
        #[serde(rename = "IP", skip_serializing_if = "omit")]
        pub ip: String,
        /// Port in the container.
        pub private_port: u16,
        /// Port on the host; 0 when not published.
        #[serde(skip_serializing_if = "omit")]
        pub public_port: u16,
        /// `tcp`, `udp` or `sctp`.
        #[serde(rename = "Type")]
        pub kind: String,
    }
}

document! {
    /// The few host settings that the list shows.
    #[serde(rename_all = "PascalCase")]
    pub struct SummaryHostConfig {
        /// Network mode.
        #[serde(skip_serializing_if = "omit")]
        pub network_mode: String,
        /// Annotations.
        #[serde(skip_serializing_if = "omit")]
        pub annotations: BTreeMap<String, String>,
    }
}

document! {
    /// Networks in the container list.
    #[serde(rename_all = "PascalCase")]
    pub struct SummaryNetworkSettings {
        /// Endpoints by network name.
        pub networks: Option<BTreeMap<String, EndpointSettings>>,
    }
}

document! {
    /// The answer of `POST /containers/{id}/wait`.
    #[serde(rename_all = "PascalCase")]
    pub struct WaitResponse {
        /// Why waiting or removing failed.
        #[serde(skip_serializing_if = "omit")]
        pub error: Option<WaitError>,
        /// Exit code.
        pub status_code: i64,
    }
}

document! {
    /// Why waiting failed.
    #[serde(rename_all = "PascalCase")]
    pub struct WaitError {
        /// In words.
        #[serde(skip_serializing_if = "omit")]
        pub message: String,
    }
}

document! {
    /// The answer of `GET /containers/{id}/top`.
    #[serde(rename_all = "PascalCase")]
    pub struct TopResponse {
        /// One row a process.
        pub processes: Vec<Vec<String>>,
        /// Column heads.
        pub titles: Vec<String>,
    }
}

document! {
    /// An element of `GET /containers/{id}/changes`.
    #[serde(rename_all = "PascalCase")]
    pub struct Change {
        /// Path in the container.
        pub path: String,
        /// 0 modified, 1 added, 2 deleted.
        pub kind: u8,
    }
}

document! {
    /// The body of `POST /containers/{id}/update`.
    #[serde(rename_all = "PascalCase")]
    pub struct UpdateRequest {
        flatten {
            /// New limits; zero fields stay as they are.
            pub resources: Resources
        }
        /// New restart policy; an empty name leaves it as it is.
        pub restart_policy: RestartPolicy,
    }
}

document! {
    /// The answer of `POST /containers/{id}/update`.
    #[serde(rename_all = "PascalCase")]
    pub struct UpdateResponse {
        /// What was accepted with reservations.
        pub warnings: Option<Vec<String>>,
    }
}

document! {
    /// The answer of `POST /containers/prune`.
    #[serde(rename_all = "PascalCase")]
    pub struct PruneResponse {
        /// Ids of the removed containers.
        pub containers_deleted: Option<Vec<String>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}

document! {
    /// A file's properties: the `X-Docker-Container-Path-Stat` header, base64 of this document.
    pub struct PathStat {
        /// Base name.
        pub name: String,
        /// Bytes.
        pub size: i64,
        /// Go's `os.FileMode`: permission bits and, from the top bit down, type bits.
        pub mode: u32,
        /// RFC 3339.
        pub mtime: String,
        /// Target of a symbolic link.
        #[serde(rename = "linkTarget")]
        pub link_target: String,
    }
}

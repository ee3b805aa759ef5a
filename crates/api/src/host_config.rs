//! How the host runs a container: `HostConfig`.

use std::collections::BTreeMap;

use crate::go::{Map, StrSlice, omit};
use crate::mount::Mount;

/// Host bindings by `PORT/PROTOCOL`; `None` is an exposed port without a binding.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

document! {
    /// How the host runs a container.
    #[serde(rename_all = "PascalCase")]
    pub struct HostConfig {
        /// `SOURCE:TARGET[:OPTIONS]` list of `-v`.
        pub binds: Option<Vec<String>>,
        /// File that the client wrote the id to.
        #[serde(rename = "ContainerIDFile")]
        pub container_id_file: String,
        /// Where its output goes.
        pub log_config: LogConfig,
        /// `default`, `bridge`, `host`, `none`, `container:X` or a network.
        pub network_mode: String,
        /// Published ports.
        pub port_bindings: Option<PortMap>,
        /// What happens after it ends.
        pub restart_policy: RestartPolicy,
        /// Remove it when it ends.
        pub auto_remove: bool,
        /// Driver for volumes made on its behalf.
        pub volume_driver: String,
        /// `CONTAINER[:ro|rw]` list.
        pub volumes_from: Option<Vec<String>>,
        /// First size of the terminal: height, width.
        pub console_size: [u32; 2],
        /// Passed to the runtime.
        #[serde(skip_serializing_if = "omit")]
        pub annotations: BTreeMap<String, String>,
        /// Capabilities added to the default set.
        pub cap_add: Option<StrSlice>,
        /// Capabilities taken from it.
        pub cap_drop: Option<StrSlice>,
        /// `host`, `private` or empty for the default.
        pub cgroupns_mode: String,
        /// Name servers.
        pub dns: Option<Vec<String>>,
        /// Resolver options.
        pub dns_options: Option<Vec<String>>,
        /// Search domains.
        pub dns_search: Option<Vec<String>>,
        /// `NAME:ADDRESS` list for `/etc/hosts`.
        pub extra_hosts: Option<Vec<String>>,
        /// Supplementary groups.
        pub group_add: Option<Vec<String>>,
        /// `none`, `private`, `shareable`, `container:X` or `host`.
        pub ipc_mode: String,
        /// No longer used.
        pub cgroup: String,
        /// `CONTAINER:ALIAS` list.
        pub links: Option<Vec<String>>,
        /// -1000 to 1000.
        pub oom_score_adj: i64,
        /// Empty, `host` or `container:X`.
        pub pid_mode: String,
        /// All capabilities, all devices, nothing masked.
        pub privileged: bool,
        /// Publish all exposed ports on free host ports.
        pub publish_all_ports: bool,
        /// The root filesystem is read-only.
        pub readonly_rootfs: bool,
        /// `no-new-privileges`, `seccomp=…`, `apparmor=…`, `label=…`, `systempaths=…`.
        pub security_opt: Option<Vec<String>>,
        /// Options of the storage driver.
        #[serde(skip_serializing_if = "omit")]
        pub storage_opt: BTreeMap<String, String>,
        /// tmpfs mounts: options by path.
        #[serde(skip_serializing_if = "omit")]
        pub tmpfs: BTreeMap<String, String>,
        /// Empty or `host`.
        #[serde(rename = "UTSMode")]
        pub uts_mode: String,
        /// Empty or `host`.
        pub userns_mode: String,
        /// Bytes of `/dev/shm`; 0 means 64 MiB.
        pub shm_size: i64,
        /// Namespaced sysctls.
        #[serde(skip_serializing_if = "omit")]
        pub sysctls: BTreeMap<String, String>,
        /// OCI runtime by name.
        #[serde(skip_serializing_if = "omit")]
        pub runtime: String,
        /// Only has a meaning on other systems.
        pub isolation: String,
        flatten {
            /// Limits.
            pub resources: Resources
        }
        /// Mounts of `--mount`.
        #[serde(skip_serializing_if = "omit")]
        pub mounts: Vec<Mount>,
        /// Paths hidden from the container; `None` means the default list.
        pub masked_paths: Option<Vec<String>>,
        /// Paths made read-only; `None` means the default list.
        pub readonly_paths: Option<Vec<String>>,
        /// Run a small init as process 1; `None` means the daemon's default.
        #[serde(skip_serializing_if = "omit")]
        pub init: Option<bool>,
    }
}

document! {
    /// Limits of a container.
    #[serde(rename_all = "PascalCase")]
    pub struct Resources {
        /// Relative share of processor time; 0 means the default (1024).
        pub cpu_shares: i64,
        /// Bytes; 0 means no limit.
        pub memory: i64,
        /// Billionths of a processor; 0 means no limit.
        pub nano_cpus: i64,
        /// Cgroup below which its own is made.
        pub cgroup_parent: String,
        /// 10 to 1000; 0 means the default.
        pub blkio_weight: u16,
        /// Weights by device.
        pub blkio_weight_device: Option<Vec<WeightDevice>>,
        /// Bytes read a second, by device.
        pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
        /// Bytes written a second, by device.
        pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
        /// Reads a second, by device.
        #[serde(rename = "BlkioDeviceReadIOps")]
        pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
        /// Writes a second, by device.
        #[serde(rename = "BlkioDeviceWriteIOps")]
        pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
        /// Microseconds.
        pub cpu_period: i64,
        /// Microseconds of processor time in a period.
        pub cpu_quota: i64,
        /// Microseconds.
        pub cpu_realtime_period: i64,
        /// Microseconds.
        pub cpu_realtime_runtime: i64,
        /// For example `0-2,4`.
        pub cpuset_cpus: String,
        /// For example `0,1`.
        pub cpuset_mems: String,
        /// Devices of `--device`.
        pub devices: Option<Vec<DeviceMapping>>,
        /// For example `c 13:* rwm`.
        pub device_cgroup_rules: Option<Vec<String>>,
        /// Devices of drivers (`--gpus`, CDI).
        pub device_requests: Option<Vec<DeviceRequest>>,
        /// No longer supported by kernels.
        #[serde(skip_serializing_if = "omit")]
        pub kernel_memory: i64,
        /// Bytes of kernel memory for TCP buffers.
        #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "omit")]
        pub kernel_memory_tcp: i64,
        /// Soft limit in bytes.
        pub memory_reservation: i64,
        /// Bytes of memory and swap together; -1 means unlimited swap.
        pub memory_swap: i64,
        /// 0 to 100; `None` or -1 means the host's.
        pub memory_swappiness: Option<i64>,
        /// Do not kill for want of memory.
        pub oom_kill_disable: Option<bool>,
        /// Most processes; `None`, 0 or less means no limit.
        pub pids_limit: Option<i64>,
        /// Resource limits of the process.
        pub ulimits: Option<Vec<Ulimit>>,
        /// Only has a meaning on other systems.
        pub cpu_count: i64,
        /// Only has a meaning on other systems.
        pub cpu_percent: i64,
        /// Only has a meaning on other systems.
        #[serde(rename = "IOMaximumIOps")]
        pub io_maximum_iops: u64,
        /// Only has a meaning on other systems.
        #[serde(rename = "IOMaximumBandwidth")]
        pub io_maximum_bandwidth: u64,
    }
}

document! {
    /// Where a container's output goes.
    #[serde(rename_all = "PascalCase")]
    pub struct LogConfig {
        /// Log driver; empty means the daemon's default.
        #[serde(rename = "Type")]
        pub kind: String,
        /// Options of the driver.
        pub config: Map,
    }
}

document! {
    /// What happens after a container ends.
    #[serde(rename_all = "PascalCase")]
    pub struct RestartPolicy {
        /// Empty, `no`, `always`, `unless-stopped` or `on-failure`.
        pub name: String,
        /// Most restarts under `on-failure`; 0 means no limit.
        pub maximum_retry_count: i64,
    }
}

document! {
    /// A place on the host where a port is published.
    #[serde(rename_all = "PascalCase")]
    pub struct PortBinding {
        /// Address; empty means all.
        pub host_ip: String,
        /// Port or range; empty means a free one.
        pub host_port: String,
    }
}

document! {
    /// A device given to a container.
    #[serde(rename_all = "PascalCase")]
    pub struct DeviceMapping {
        /// Device on the host.
        pub path_on_host: String,
        /// Its name in the container.
        pub path_in_container: String,
        /// Some of `rwm`.
        pub cgroup_permissions: String,
    }
}

document! {
    /// Devices asked from a driver.
    #[serde(rename_all = "PascalCase")]
    pub struct DeviceRequest {
        /// The driver.
        pub driver: String,
        /// How many; -1 means all.
        pub count: i64,
        /// Which ones.
        #[serde(rename = "DeviceIDs")]
        pub device_ids: Option<Vec<String>>,
        /// Alternatives of capabilities needed together.
        pub capabilities: Option<Vec<Vec<String>>>,
        /// Options of the driver.
        pub options: Map,
    }
}

document! {
    /// A block device's weight.
    #[serde(rename_all = "PascalCase")]
    pub struct WeightDevice {
        /// The device.
        pub path: String,
        /// 10 to 1000.
        pub weight: u16,
    }
}

document! {
    /// A block device's rate limit.
    #[serde(rename_all = "PascalCase")]
    pub struct ThrottleDevice {
        /// The device.
        pub path: String,
        /// Bytes or operations a second.
        pub rate: u64,
    }
}

document! {
    /// A resource limit of the process.
    #[serde(rename_all = "PascalCase")]
    pub struct Ulimit {
        /// For example `nofile`.
        pub name: String,
        /// Hard limit; -1 means none.
        pub hard: i64,
        /// Soft limit; -1 means none.
        pub soft: i64,
    }
}

//! Resource use: `GET /containers/{id}/stats`.

use std::collections::BTreeMap;

use crate::go::omit;

document! {
    /// One sample of a container's resource use.
    pub struct Stats {
        /// Name with a leading slash.
        #[serde(skip_serializing_if = "omit")]
        pub name: String,
        /// The container.
        #[serde(skip_serializing_if = "omit")]
        pub id: String,
        /// When this sample was taken, RFC 3339.
        pub read: String,
        /// When the one before was taken, RFC 3339.
        pub preread: String,
        /// Processes.
        pub pids_stats: PidsStats,
        /// Block devices.
        pub blkio_stats: BlkioStats,
        /// Only has a meaning on other systems.
        pub num_procs: u32,
        /// Only has a meaning on other systems.
        pub storage_stats: StorageStats,
        /// Processor.
        pub cpu_stats: CpuStats,
        /// Processor, in the sample before.
        pub precpu_stats: CpuStats,
        /// Memory.
        pub memory_stats: MemoryStats,
        /// Interfaces by name.
        #[serde(skip_serializing_if = "omit")]
        pub networks: BTreeMap<String, NetworkStats>,
    }
}

document! {
    /// Processes.
    pub struct PidsStats {
        /// Now.
        #[serde(skip_serializing_if = "omit")]
        pub current: u64,
        /// At most.
        #[serde(skip_serializing_if = "omit")]
        pub limit: u64,
    }
}

document! {
    /// Block devices.
    pub struct BlkioStats {
        /// Bytes.
        pub io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
        /// Operations.
        pub io_serviced_recursive: Option<Vec<BlkioEntry>>,
        /// Waiting operations.
        pub io_queue_recursive: Option<Vec<BlkioEntry>>,
        /// Nanoseconds in service.
        pub io_service_time_recursive: Option<Vec<BlkioEntry>>,
        /// Nanoseconds waiting.
        pub io_wait_time_recursive: Option<Vec<BlkioEntry>>,
        /// Merged operations.
        pub io_merged_recursive: Option<Vec<BlkioEntry>>,
        /// Milliseconds of device time.
        pub io_time_recursive: Option<Vec<BlkioEntry>>,
        /// Sectors.
        pub sectors_recursive: Option<Vec<BlkioEntry>>,
    }
}

document! {
    /// One counter of one block device.
    pub struct BlkioEntry {
        /// Device number.
        pub major: u64,
        /// Device number.
        pub minor: u64,
        /// `read`, `write`, …
        pub op: String,
        /// The counter.
        pub value: u64,
    }
}

document! {
    /// Only has a meaning on other systems.
    pub struct StorageStats {
        /// Reads.
        #[serde(skip_serializing_if = "omit")]
        pub read_count_normalized: u64,
        /// Bytes.
        #[serde(skip_serializing_if = "omit")]
        pub read_size_bytes: u64,
        /// Writes.
        #[serde(skip_serializing_if = "omit")]
        pub write_count_normalized: u64,
        /// Bytes.
        #[serde(skip_serializing_if = "omit")]
        pub write_size_bytes: u64,
    }
}

document! {
    /// Processor.
    pub struct CpuStats {
        /// Time used.
        pub cpu_usage: CpuUsage,
        /// Nanoseconds the whole host used since boot.
        #[serde(skip_serializing_if = "omit")]
        pub system_cpu_usage: u64,
        /// Processors.
        #[serde(skip_serializing_if = "omit")]
        pub online_cpus: u32,
        /// Throttling.
        pub throttling_data: ThrottlingData,
    }
}

document! {
    /// Processor time in nanoseconds.
    pub struct CpuUsage {
        /// In all.
        pub total_usage: u64,
        /// By processor; only on cgroup v1.
        #[serde(skip_serializing_if = "omit")]
        pub percpu_usage: Vec<u64>,
        /// In the kernel.
        pub usage_in_kernelmode: u64,
        /// In user space.
        pub usage_in_usermode: u64,
    }
}

document! {
    /// Throttling.
    pub struct ThrottlingData {
        /// Periods so far.
        pub periods: u64,
        /// Those that were cut short.
        pub throttled_periods: u64,
        /// Nanoseconds.
        pub throttled_time: u64,
    }
}

document! {
    /// Memory in bytes.
    pub struct MemoryStats {
        /// Now, page cache included.
        #[serde(skip_serializing_if = "omit")]
        pub usage: u64,
        /// The most so far; only on cgroup v1.
        #[serde(skip_serializing_if = "omit")]
        pub max_usage: u64,
        /// The kernel's `memory.stat`.
        #[serde(skip_serializing_if = "omit")]
        pub stats: BTreeMap<String, u64>,
        /// Times the limit was hit; only on cgroup v1.
        #[serde(skip_serializing_if = "omit")]
        pub failcnt: u64,
        /// The limit, or the host's memory without one.
        #[serde(skip_serializing_if = "omit")]
        pub limit: u64,
    }
}

document! {
    /// Counters of one interface.
    pub struct NetworkStats {
        /// Received.
        pub rx_bytes: u64,
        /// Received.
        pub rx_packets: u64,
        /// Received with errors.
        pub rx_errors: u64,
        /// Received and dropped.
        pub rx_dropped: u64,
        /// Sent.
        pub tx_bytes: u64,
        /// Sent.
        pub tx_packets: u64,
        /// Failed to send.
        pub tx_errors: u64,
        /// Dropped before sending.
        pub tx_dropped: u64,
    }
}

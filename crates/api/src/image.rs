//! Images: `/images/…`, `/commit`.

use std::collections::BTreeMap;

pub use crate::container::{DriverData, Healthcheck};
use crate::go::{Map, Set, StrSlice, omit};

document! {
    /// The answer of `GET /images/{name}/json`.
    #[serde(rename_all = "PascalCase")]
    pub struct Inspect {
        /// Digest of the configuration.
        pub id: String,
        /// Names with tags.
        pub repo_tags: Vec<String>,
        /// Names with the manifest's digest.
        pub repo_digests: Vec<String>,
        /// Image this one was built on, for classic builds.
        pub parent: String,
        /// Comment of the last history entry.
        pub comment: String,
        /// RFC 3339.
        #[serde(skip_serializing_if = "omit")]
        pub created: String,
        /// Container it was made of; only up to API 1.44.
        #[serde(skip_serializing_if = "omit")]
        pub container: String,
        /// Configuration of that container; only up to API 1.44.
        #[serde(skip_serializing_if = "omit")]
        pub container_config: Option<crate::container::Config>,
        /// Engine that built it.
        pub docker_version: String,
        /// Its author.
        pub author: String,
        /// Architecture in Go's words.
        pub architecture: String,
        /// Variant of the architecture.
        #[serde(skip_serializing_if = "omit")]
        pub variant: String,
        /// Operating system in Go's words.
        pub os: String,
        /// Version of the operating system.
        #[serde(skip_serializing_if = "omit")]
        pub os_version: String,
        /// Bytes of all layers unpacked.
        pub size: i64,
        /// As `size`; only up to API 1.43.
        #[serde(skip_serializing_if = "omit")]
        pub virtual_size: Option<i64>,
        /// Where its layers lie.
        pub graph_driver: DriverData,
        /// Its layers.
        #[serde(rename = "RootFS")]
        pub root_fs: RootFs,
        /// What this engine knows about it.
        pub metadata: Metadata,
        /// Configuration for containers of it.
        pub config: Option<Config>,
    }
}

document! {
    /// Defaults that an image gives its containers.
    #[serde(rename_all = "PascalCase")]
    pub struct Config {
        /// Only has a meaning on other systems.
        #[serde(skip_serializing_if = "omit")]
        pub args_escaped: bool,
        /// Command.
        pub cmd: Option<StrSlice>,
        /// Entry point.
        pub entrypoint: Option<StrSlice>,
        /// Environment.
        pub env: Option<Vec<String>>,
        /// Ports.
        #[serde(skip_serializing_if = "omit")]
        pub exposed_ports: Set,
        /// Health check.
        #[serde(skip_serializing_if = "omit")]
        pub healthcheck: Option<Healthcheck>,
        /// Labels.
        pub labels: Map,
        /// Instructions for builds on top of it.
        pub on_build: Option<Vec<String>>,
        /// Shell for the shell form of commands.
        #[serde(skip_serializing_if = "omit")]
        pub shell: Vec<String>,
        /// Signal that stops a container.
        #[serde(skip_serializing_if = "omit")]
        pub stop_signal: String,
        /// User.
        pub user: String,
        /// Paths that get a volume.
        pub volumes: Option<Set>,
        /// Working directory.
        pub working_dir: String,
    }
}

document! {
    /// Layers of an image.
    #[serde(rename_all = "PascalCase")]
    pub struct RootFs {
        /// `layers`.
        #[serde(rename = "Type")]
        pub kind: String,
        /// Digests of the uncompressed layers, base first.
        #[serde(skip_serializing_if = "omit")]
        pub layers: Vec<String>,
    }
}

document! {
    /// What this engine knows about an image.
    #[serde(rename_all = "PascalCase")]
    pub struct Metadata {
        /// RFC 3339; the zero time when it was never tagged here.
        pub last_tag_time: String,
    }
}

document! {
    /// A row of `GET /images/json`.
    #[serde(rename_all = "PascalCase")]
    pub struct Summary {
        /// Containers that use it; -1 when not counted.
        pub containers: i64,
        /// Seconds since the epoch.
        pub created: i64,
        /// Digest of the configuration.
        pub id: String,
        /// Labels.
        pub labels: Map,
        /// Image this one was built on, for classic builds.
        pub parent_id: String,
        /// Names with the manifest's digest.
        pub repo_digests: Option<Vec<String>>,
        /// Names with tags.
        pub repo_tags: Option<Vec<String>>,
        /// Bytes in layers that other images have too; -1 when not computed.
        pub shared_size: i64,
        /// Bytes of all layers unpacked.
        pub size: i64,
        /// As `size`; only up to API 1.43.
        #[serde(skip_serializing_if = "omit")]
        pub virtual_size: Option<i64>,
    }
}

document! {
    /// An element of `GET /images/{name}/history`, newest first.
    #[serde(rename_all = "PascalCase")]
    pub struct HistoryItem {
        /// Comment.
        pub comment: String,
        /// Seconds since the epoch.
        pub created: i64,
        /// The instruction.
        pub created_by: String,
        /// Image after this step, or `<missing>`.
        pub id: String,
        /// Bytes that this step added.
        pub size: i64,
        /// Names of the image after this step.
        pub tags: Option<Vec<String>>,
    }
}

document! {
    /// An element of the answer of `DELETE /images/{name}`: one of the two is there.
    #[serde(rename_all = "PascalCase")]
    pub struct DeleteItem {
        /// Image that is gone.
        #[serde(skip_serializing_if = "omit")]
        pub deleted: String,
        /// Name that is gone.
        #[serde(skip_serializing_if = "omit")]
        pub untagged: String,
    }
}

document! {
    /// The answer of `POST /images/prune`.
    #[serde(rename_all = "PascalCase")]
    pub struct PruneResponse {
        /// What went.
        pub images_deleted: Option<Vec<DeleteItem>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}

document! {
    /// A row of `GET /images/search`.
    pub struct SearchResult {
        /// Stars.
        pub star_count: i64,
        /// Official image.
        pub is_official: bool,
        /// Name.
        pub name: String,
        /// No longer used.
        pub is_automated: bool,
        /// Description.
        pub description: String,
    }
}

document! {
    /// The answer of `GET /distribution/{name}/json`.
    #[serde(rename_all = "PascalCase")]
    pub struct DistributionInspect {
        /// The manifest.
        pub descriptor: Descriptor,
        /// Platforms it serves.
        pub platforms: Option<Vec<Platform>>,
    }
}

document! {
    /// A content descriptor.
    #[serde(rename_all = "camelCase")]
    pub struct Descriptor {
        /// Media type.
        pub media_type: String,
        /// Digest.
        pub digest: String,
        /// Bytes.
        pub size: i64,
        /// Alternative places.
        #[serde(skip_serializing_if = "omit")]
        pub urls: Vec<String>,
        /// Annotations.
        #[serde(skip_serializing_if = "omit")]
        pub annotations: BTreeMap<String, String>,
        /// Platform.
        #[serde(skip_serializing_if = "omit")]
        pub platform: Option<Platform>,
    }
}

document! {
    /// A platform as image indexes write it.
    pub struct Platform {
        /// Architecture in Go's words.
        pub architecture: String,
        /// Operating system in Go's words.
        pub os: String,
        /// Version of the operating system.
        #[serde(rename = "os.version", skip_serializing_if = "omit")]
        pub os_version: String,
        /// Features of the operating system.
        #[serde(rename = "os.features", skip_serializing_if = "omit")]
        pub os_features: Vec<String>,
        /// Variant of the architecture.
        #[serde(skip_serializing_if = "omit")]
        pub variant: String,
    }
}

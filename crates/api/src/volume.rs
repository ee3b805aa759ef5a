//! Volumes: `/volumes/…`.

use std::collections::BTreeMap;

use crate::go::{Map, omit};

document! {
    /// The answer of `GET /volumes/{name}` and a row of `GET /volumes`.
    #[serde(rename_all = "PascalCase")]
    pub struct Volume {
        /// RFC 3339, whole seconds.
        #[serde(skip_serializing_if = "omit")]
        pub created_at: String,
        /// `local`.
        pub driver: String,
        /// Labels.
        pub labels: Map,
        /// Directory on the host.
        pub mountpoint: String,
        /// Name.
        pub name: String,
        /// Options of the driver.
        pub options: Map,
        /// `local`.
        pub scope: String,
        /// What the driver tells about it.
        #[serde(skip_serializing_if = "omit")]
        pub status: BTreeMap<String, serde_json::Value>,
        /// Its use; only in `/system/df`.
        #[serde(skip_serializing_if = "omit")]
        pub usage_data: Option<UsageData>,
    }
}

document! {
    /// Use of a volume.
    #[serde(rename_all = "PascalCase")]
    pub struct UsageData {
        /// Containers that mount it; -1 when not known.
        pub ref_count: i64,
        /// Bytes; -1 when not known.
        pub size: i64,
    }
}

document! {
    /// The answer of `GET /volumes`.
    #[serde(rename_all = "PascalCase")]
    pub struct ListResponse {
        /// The volumes.
        pub volumes: Vec<Volume>,
        /// What went wrong at a driver.
        pub warnings: Option<Vec<String>>,
    }
}

document! {
    /// The body of `POST /volumes/create`.
    #[serde(rename_all = "PascalCase")]
    pub struct CreateRequest {
        /// Driver; empty means `local`.
        #[serde(skip_serializing_if = "omit")]
        pub driver: String,
        /// Options of the driver.
        #[serde(skip_serializing_if = "omit")]
        pub driver_opts: BTreeMap<String, String>,
        /// Labels.
        #[serde(skip_serializing_if = "omit")]
        pub labels: BTreeMap<String, String>,
        /// Name; empty means a generated one.
        #[serde(skip_serializing_if = "omit")]
        pub name: String,
    }
}

document! {
    /// The answer of `POST /volumes/prune`.
    #[serde(rename_all = "PascalCase")]
    pub struct PruneResponse {
        /// Names of the removed volumes.
        pub volumes_deleted: Option<Vec<String>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}

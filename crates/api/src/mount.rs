//! Mounts: what `--mount` asks for and what inspect reports.

use std::collections::BTreeMap;

use crate::go::omit;

document! {
    /// A mount asked for, as an element of `HostConfig.Mounts`.
    #[serde(rename_all = "PascalCase")]
    pub struct Mount {
        /// `bind`, `volume`, `tmpfs`, `image`, `npipe` or `cluster`.
        #[serde(rename = "Type", skip_serializing_if = "omit")]
        pub kind: String,
        /// Path on the host, volume name or image.
        #[serde(skip_serializing_if = "omit")]
        pub source: String,
        /// Path in the container.
        #[serde(skip_serializing_if = "omit")]
        pub target: String,
        /// Mounted read-only.
        #[serde(skip_serializing_if = "omit")]
        pub read_only: bool,
        /// Only has a meaning on other systems.
        #[serde(skip_serializing_if = "omit")]
        pub consistency: String,
        /// Options of a bind mount.
        #[serde(skip_serializing_if = "omit")]
        pub bind_options: Option<BindOptions>,
        /// Options of a volume.
        #[serde(skip_serializing_if = "omit")]
        pub volume_options: Option<VolumeOptions>,
        /// Options of an image mount.
        #[serde(skip_serializing_if = "omit")]
        pub image_options: Option<ImageOptions>,
        /// Options of a tmpfs.
        #[serde(skip_serializing_if = "omit")]
        pub tmpfs_options: Option<TmpfsOptions>,
        /// Options of a cluster volume.
        #[serde(skip_serializing_if = "omit")]
        pub cluster_options: Option<ClusterOptions>,
    }
}

document! {
    /// Options of a bind mount.
    #[serde(rename_all = "PascalCase")]
    pub struct BindOptions {
        /// `private`, `rprivate`, `shared`, `rshared`, `slave` or `rslave`.
        #[serde(skip_serializing_if = "omit")]
        pub propagation: String,
        /// Leave out what is mounted below the source.
        #[serde(skip_serializing_if = "omit")]
        pub non_recursive: bool,
        /// Make the source directory when it is missing.
        #[serde(skip_serializing_if = "omit")]
        pub create_mountpoint: bool,
        /// Mounts below the source stay writable.
        #[serde(skip_serializing_if = "omit")]
        pub read_only_non_recursive: bool,
        /// Fail when mounts below the source cannot be made read-only.
        #[serde(skip_serializing_if = "omit")]
        pub read_only_force_recursive: bool,
    }
}

document! {
    /// Options of a volume mount.
    #[serde(rename_all = "PascalCase")]
    pub struct VolumeOptions {
        /// Do not copy the image's content into an empty volume.
        #[serde(skip_serializing_if = "omit")]
        pub no_copy: bool,
        /// Labels for a volume made by this mount.
        #[serde(skip_serializing_if = "omit")]
        pub labels: BTreeMap<String, String>,
        /// Path inside the volume to mount.
        #[serde(skip_serializing_if = "omit")]
        pub subpath: String,
        /// Driver for a volume made by this mount.
        #[serde(skip_serializing_if = "omit")]
        pub driver_config: Option<Driver>,
    }
}

document! {
    /// A volume driver and its options.
    #[serde(rename_all = "PascalCase")]
    pub struct Driver {
        /// Its name.
        #[serde(skip_serializing_if = "omit")]
        pub name: String,
        /// Its options.
        #[serde(skip_serializing_if = "omit")]
        pub options: BTreeMap<String, String>,
    }
}

document! {
    /// Options of an image mount.
    #[serde(rename_all = "PascalCase")]
    pub struct ImageOptions {
        /// Path inside the image to mount.
        #[serde(skip_serializing_if = "omit")]
        pub subpath: String,
    }
}

document! {
    /// Options of a tmpfs.
    #[serde(rename_all = "PascalCase")]
    pub struct TmpfsOptions {
        /// Limit in bytes; 0 means the kernel's default.
        #[serde(skip_serializing_if = "omit")]
        pub size_bytes: i64,
        /// Permission bits of its root; 0 means 1777.
        #[serde(skip_serializing_if = "omit")]
        pub mode: u32,
        /// Further mount options, each a key or a key and a value.
        #[serde(skip_serializing_if = "omit")]
        pub options: Vec<Vec<String>>,
    }
}

document! {
    /// Options of a cluster volume: has none.
    pub struct ClusterOptions {}
}

document! {
    /// A mount of a container, as inspect and the list report it.
    #[serde(rename_all = "PascalCase")]
    pub struct MountPoint {
        /// `bind`, `volume`, `tmpfs` or `image`.
        #[serde(rename = "Type", skip_serializing_if = "omit")]
        pub kind: String,
        /// Name of the volume.
        #[serde(skip_serializing_if = "omit")]
        pub name: String,
        /// Path on the host.
        pub source: String,
        /// Path in the container.
        pub destination: String,
        /// Driver of the volume.
        #[serde(skip_serializing_if = "omit")]
        pub driver: String,
        /// The options as given, for example `ro` or `z`.
        pub mode: String,
        /// Writable.
        #[serde(rename = "RW")]
        pub rw: bool,
        /// Propagation of a bind mount.
        pub propagation: String,
    }
}

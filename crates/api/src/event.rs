//! Events: `GET /events`.

use std::collections::BTreeMap;

use crate::go::omit;

document! {
    /// Something that happened to an object.
    pub struct Event {
        /// The action again, for containers and images.
        #[serde(skip_serializing_if = "omit")]
        pub status: String,
        /// The object's id again, for containers and images.
        #[serde(skip_serializing_if = "omit")]
        pub id: String,
        /// The image again, for containers.
        #[serde(skip_serializing_if = "omit")]
        pub from: String,
        /// `container`, `image`, `network`, `volume`, `daemon` or `builder`.
        #[serde(rename = "Type")]
        pub kind: String,
        /// What happened, for example `start` or `exec_create: ls`.
        #[serde(rename = "Action")]
        pub action: String,
        /// What it happened to.
        #[serde(rename = "Actor")]
        pub actor: Actor,
        /// `local`.
        #[serde(skip_serializing_if = "omit")]
        pub scope: String,
        /// Seconds since the epoch.
        pub time: i64,
        /// Nanoseconds since the epoch.
        #[serde(rename = "timeNano")]
        pub time_nano: i64,
    }
}

document! {
    /// The object of an event.
    #[serde(rename_all = "PascalCase")]
    pub struct Actor {
        /// Its id or, for volumes, name.
        #[serde(rename = "ID")]
        pub id: String,
        /// Labels, name, image, exit code and the like.
        pub attributes: BTreeMap<String, String>,
    }
}

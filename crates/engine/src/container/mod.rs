//! Containers: their record, the in-memory index of all of them, and one file per verb.
//!
//! A record is immutable once published. A verb locks the container's [`Entry`], writes a new record to the database
//! and publishes it; readers (`ps`, `inspect`, waiters) take the published `Arc` and never wait for a verb.

mod archive;
mod attach;
mod changes;
mod commit;
mod create;
mod exit;
mod files;
mod health;
mod index;
mod inspect;
mod list;
mod live;
mod log_attributes;
mod log_files;
mod logs;
mod merge;
mod mounts;
mod pause;
mod probe;
mod process;
mod remove;
mod rename;
mod root;
mod shutdown;
mod spec;
mod start;
mod stats;
mod status;
mod stop;
mod top;
mod update;
mod user;
mod validate;
mod wait;

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_api::container::{Config, EndpointSettings, HostConfig, MountPoint};

pub(crate) use self::process::exec_user;
pub use self::{
    archive::PutOptions,
    attach::{AttachOptions, Attachment},
    commit::CommitRequest,
    create::CreateOptions,
    health::{Health, HealthStatus, Probe},
    index::{Entry, Index},
    inspect::Sizes,
    list::ListOptions,
    logs::LogOptions,
    remove::RemoveOptions,
    status::Status,
    wait::{Exit, Wait, WaitCondition},
};
pub(crate) use self::{
    exit::{FollowUp, wants_restart},
    merge::default_host_config,
    root::follow,
    user::Accounts,
    validate::{log_bounds, validate_logging},
};

/// Everything the engine knows about one container, as stored in the database.
///
/// `config` and `host_config` are the client's own documents after merging with the image, echoed by `inspect`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Id of its image (`sha256:…`).
    pub image: String,
    /// Program and arguments of the first process: entrypoint and command joined.
    pub path: String,
    /// Arguments without the program.
    pub args: Vec<String>,
    /// Configuration that could be moved to another host.
    pub config: Config,
    /// Configuration that ties the container to this host.
    pub host_config: HostConfig,
    /// Bind mounts and volumes, by destination.
    pub mounts: Vec<MountPoint>,
    /// Attached networks by name, with what the client asked for and what is in force while running.
    pub networks: BTreeMap<String, Endpoint>,
    /// What changes while it lives.
    pub state: State,
}

/// A container's place in one network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// The client's wishes: aliases, fixed addresses, links.
    pub settings: EndpointSettings,
    /// What is set up in the kernel while the container runs.
    pub state: Option<wharf_net::EndpointState>,
}

/// The changing part of a container's record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Place in the life cycle.
    pub status: Status,
    /// Host pid of the first process while one exists, else 0.
    pub pid: i32,
    /// Exit code of the last run; 126, 127 or 128 after a failed start.
    pub exit_code: i32,
    /// Why the last start failed.
    pub error: String,
    /// Whether the kernel's out-of-memory killer ended a process of the last run.
    pub oom_killed: bool,
    /// Begin of the last run.
    pub started_at: Option<Timestamp>,
    /// End of the last run.
    pub finished_at: Option<Timestamp>,
    /// Restarts by the restart policy since the last manual start.
    pub restart_count: i64,
    /// Delay before the last restart by policy, in milliseconds.
    pub restart_delay_ms: u64,
    /// How often a run has ended: what `wait` for the next exit compares.
    pub exits: u64,
    /// A client asked for the end of the last run, so the restart policy does not apply.
    pub stopped_by_user: bool,
    /// What its health check says; `None` without one and before the first start.
    pub health: Option<Health>,
    /// The record is gone from the database; this is its last publication.
    pub removed: bool,
}

impl Container {
    /// Whether the container uses `network` as `--network` value in the form `container:<id>`; returns that id.
    pub fn network_container(&self) -> Option<&str> {
        self.host_config.network_mode.strip_prefix("container:")
    }

    /// Name, image and labels, as every event of the container carries them.
    pub(crate) fn event_attributes(&self) -> BTreeMap<String, String> {
        let mut attributes: BTreeMap<_, _> =
            self.config.labels.clone().unwrap_or_default().into_iter().collect();
        attributes.insert("image".to_owned(), self.config.image.clone());
        attributes.insert("name".to_owned(), self.name.clone());
        attributes
    }
}

/// Where the files of one container are.
impl crate::Paths {
    /// Folder of the container's own files under the data root.
    pub fn container(&self, id: &str) -> PathBuf {
        self.data_root.join("containers").join(id)
    }

    /// The live file of the log, at the place where Docker has that of the same driver.
    pub fn container_log(&self, container: &Container) -> PathBuf {
        let folder = self.container(&container.id);
        match container.host_config.log_config.kind.as_str() {
            "local" => folder.join("local-logs/container.log"),
            _ => folder.join(format!("{}-json.log", container.id)),
        }
    }

    /// The bundle and monitor folder under the exec root; it exists while the container runs.
    pub fn monitor(&self, id: &str) -> PathBuf {
        self.exec_root.join("monitors").join(id)
    }
}

//! Containers, exec, networks, volumes, images and events. Knows neither HTTP nor terminals.
//!
//! - [`Engine`] owns everything; verbs are blocking methods on it, one file each under the modules below.
//! - [`container`]: records, life cycle and verbs of containers; `exec`: sessions in them.
//! - [`image`], [`network`], [`volume`]: the other resources.
//! - [`build`]: images from Dockerfiles.
//! - [`events`]: what happened, for subscribers. `boot`: finding everything again after a restart.
//! - [`Error`]: the one place where failures get Docker's words and kind.
//!
//! A verb runs to completion on a blocking thread whatever its client does. Waiting and streaming is asynchronous.

mod boot;
pub mod build;
mod check;
mod config;
pub mod container;
mod disk;
mod error;
pub mod events;
mod exec;
mod housekeeping;
mod ids;
pub mod image;
pub mod network;
mod signal;
pub mod system;
mod tables;
mod undo;
pub mod volume;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicBool},
};

use jiff::Timestamp;
use wharf_db::Db;
use wharf_monitor::Launcher;
use wharf_net::Net;
use wharf_store::Store;

pub use wharf_store::Problem;

use self::{
    build::Builder,
    container::{Container, Entry, Index},
    events::Events,
    exec::Execs,
    housekeeping::Housekeeper,
    image::Images,
};
pub use self::{
    config::{EngineConfig, Paths, Proxies},
    error::{Error, Result},
    exec::{Exec, ExecState},
    ids::short_id,
};

/// The engine: owner of all durable state and of every container's life.
#[derive(Debug)]
pub struct Engine {
    /// Settings it was opened with.
    pub config: EngineConfig,
    /// Those of the settings that a reload may have changed since.
    live: RwLock<EngineConfig>,
    /// Containers that end now end because the engine does.
    shutting_down: AtomicBool,
    /// Folders.
    pub paths: Paths,
    /// What happened.
    pub events: Arc<Events>,
    /// All containers.
    pub containers: Index,
    /// Images and what is done with them.
    pub images: Images,
    /// Random id of this installation, for `info`.
    pub id: String,
    /// When this engine was opened.
    pub started: Timestamp,
    store: Arc<Store>,
    db: Db,
    net: Arc<Net>,
    launcher: Launcher,
    execs: Execs,
    builder: Builder,
    runtime: tokio::runtime::Handle,
    volumes: Mutex<()>,
    housekeeper: Housekeeper,
    cpus: usize,
}

impl Engine {
    /// Keeps two verbs from making or deleting the same volume at once.
    fn volumes_lock(&self) -> MutexGuard<'_, ()> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a container's record in the database and publishes it. The caller holds the container's lock.
    ///
    /// # Errors
    /// The database cannot be written; nothing is published then.
    fn update_container(&self, entry: &Entry, change: impl FnOnce(&mut Container)) -> Result<Arc<Container>> {
        let mut container = (*entry.get()).clone();
        change(&mut container);
        self.db.write(|tx| tables::CONTAINERS.put(tx, &container.id, &container))?;
        Ok(entry.publish(container))
    }

    /// Moves a folder into the trash, from where it is deleted in the background. One that is not there is fine.
    ///
    /// # Errors
    /// The file system refuses.
    fn discard(&self, folder: &Path) -> Result<()> {
        Ok(self.store.discard(folder)?)
    }

    /// Whether the host has one unified (version 2) cgroup hierarchy.
    fn unified_cgroups(&self) -> bool {
        // The root of a version 2 hierarchy has this file; in a hybrid layout it lies deeper.
        Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    }
}

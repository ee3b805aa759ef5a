//! Opening the engine: everything that was there before is found again, and what nobody owns is swept.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::{Arc, Mutex, RwLock, atomic::AtomicBool},
};

use jiff::Timestamp;
use wharf_db::Db;
use wharf_monitor::{Client, Launcher};
use wharf_net::{Net, NetConfig};
use wharf_store::Store;

use crate::{
    Engine, EngineConfig, Error, Paths, Result,
    build::Builder,
    container::{Entry, FollowUp, Index, Status, wants_restart},
    events::Events,
    exec::Execs,
    housekeeping::Housekeeper,
    ids,
    image::Images,
    tables,
};

impl Engine {
    /// Opens the database, adopts the containers that still run, records the end of those that do not, rebuilds
    /// networks and sweeps orphans. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Folders or database cannot be used, or the default network cannot be made.
    pub fn open(config: EngineConfig, launcher: Launcher) -> Result<Arc<Engine>> {
        let binary =
            std::env::current_exe().map_err(|e| Error::io("readlink", Path::new("/proc/self/exe"), e))?;
        let paths =
            Paths { data_root: config.data_root.clone(), exec_root: config.exec_root.clone(), binary };
        for folder in [
            paths.data_root.join("containers"),
            paths.data_root.join("volumes"),
            paths.exec_root.join("monitors"),
        ] {
            make_private_folder(&folder)?;
        }
        let db = Db::open(paths.data_root.join("wharf.db"))?;
        let store = Arc::new(Store::open(&paths.data_root, db.clone())?);
        let net = Arc::new(Net::open(net_config(&config)?, db.clone())?);
        let events = Arc::new(Events::default());
        let housekeeper = Housekeeper::new(store.clone(), db.clone());
        let images = Images::new(store.clone(), db.clone(), events.clone(), housekeeper.clone(), &config)?;
        let engine = Arc::new(Engine {
            id: engine_id(&paths.data_root)?,
            started: Timestamp::now(),
            paths,
            events,
            containers: Index::default(),
            images,
            store,
            db,
            net,
            launcher,
            execs: Execs::default(),
            builder: Builder::default(),
            runtime: tokio::runtime::Handle::current(),
            volumes: Mutex::default(),
            housekeeper,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            live: RwLock::new(config.clone()),
            shutting_down: AtomicBool::new(false),
            config,
        });
        engine.load()?;
        Ok(engine)
    }

    /// Loads all records and brings them in line with what the kernel has.
    fn load(self: &Arc<Self>) -> Result<()> {
        let records = self.db.read(|view| tables::CONTAINERS.list(view))?;
        let entries: Vec<_> = records.into_iter().map(|(_, container)| Entry::new(container)).collect();
        for entry in &entries {
            self.containers.insert(entry.clone());
        }
        let mut ended = Vec::new();
        for entry in &entries {
            if entry.get().state.status.has_process() && !self.adopt(entry) {
                ended.push(entry.clone());
            }
        }
        self.restore_networks()?;
        self.restore_names();
        self.sweep()?;
        for entry in ended {
            self.record_missed_exit(&entry);
        }
        for entry in entries {
            self.settle(&entry);
        }
        Ok(())
    }

    /// Connects to the monitor of a container that should be running; `false` if it has none any more.
    fn adopt(self: &Arc<Self>, entry: &Arc<Entry>) -> bool {
        let container = entry.get();
        let folder = self.paths.monitor(&container.id);
        let adopted = Client::connect(&folder).map_err(Error::from).and_then(|monitor| {
            let pid = monitor.created()?;
            self.watch_monitor(entry, monitor, pid)
        });
        if let Err(error) = &adopted {
            // A run that left its exit status has merely ended meanwhile.
            if let Ok(Some(_)) = wharf_monitor::read_exit(&folder) {
                tracing::debug!(container = %container.id, "ended while the engine was away");
            } else {
                tracing::warn!(container = %container.id, %error, "lost while the engine was away");
            }
        }
        adopted.is_ok()
    }

    /// Records the end of a run that happened while no engine was there, and what follows from it.
    fn record_missed_exit(self: &Arc<Self>, entry: &Arc<Entry>) {
        let after = {
            let _guard = entry.lock();
            self.record_exit(entry)
        };
        self.remove_monitor_folder(&entry.get().id);
        match after {
            Ok(after) => self.follow_up(entry, after),
            Err(error) => tracing::error!(container = %entry.get().id, %error, "recording a missed exit"),
        }
    }

    /// Starts what its restart policy wants to run but does not: `always`, what waited for a restart, and what the last
    /// engine stopped when it ended itself. Removes what that engine had no time to remove.
    fn settle(self: &Arc<Self>, entry: &Arc<Entry>) {
        let container = entry.get();
        let state = &container.state;
        let ended = state.status == Status::Exited && state.started_at.is_some();
        if state.removed {
            return;
        }
        if ended && container.host_config.auto_remove {
            return self.follow_up(entry, FollowUp::Remove);
        }
        let policy = &container.host_config.restart_policy;
        let wanted = ended && (policy.name == "always" || wants_restart(policy, state));
        if wanted || state.status == Status::Restarting {
            self.start_in_background(container.id.clone());
        }
    }

    fn start_in_background(self: &Arc<Self>, id: String) {
        let engine = self.clone();
        self.runtime.spawn_blocking(move || {
            if let Err(error) = engine.start_container(&id, "") {
                tracing::warn!(container = %id, %error, "starting at boot");
            }
        });
    }

    /// Deletes folders, snapshots and links that no container owns.
    fn sweep(&self) -> Result<()> {
        let containers: Vec<_> = self.containers.all().into_iter().map(|entry| entry.get()).collect();
        let ids: HashSet<&str> = containers.iter().map(|container| container.id.as_str()).collect();
        for folder in ["containers"].map(|name| self.paths.data_root.join(name)) {
            for name in names_in(&folder)? {
                if !ids.contains(name.as_str()) {
                    self.discard(&folder.join(&name))?;
                }
            }
        }
        for name in names_in(&self.paths.exec_root.join("monitors"))? {
            let running = containers.iter().any(|c| c.id == name && c.state.status.has_process());
            if !running {
                self.abandon(&name);
            }
        }
        if self.paths.build_temp().exists() {
            self.discard(&self.paths.build_temp())?;
        }
        self.net.sweep(&self.running_endpoints())?;
        self.store.sweep(&ids.iter().map(|id| (*id).to_owned()).collect())?;
        self.housekeeper.soon();
        Ok(())
    }

    /// Ends a monitor that belongs to no running container: the engine died between its launch and the commit.
    fn abandon(&self, id: &str) {
        if let Ok(monitor) = Client::connect(&self.paths.monitor(id)) {
            tracing::info!(container = %id, "ending a run that was never acknowledged");
            let _ = monitor.kill(9, true);
        }
        self.remove_monitor_folder(id);
    }
}

/// Names of the entries of a folder; a missing folder has none.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io("open", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// The networks' settings: an engine with a bridge of its own has everything else of its own, too.
fn net_config(config: &EngineConfig) -> Result<NetConfig> {
    let bip = config.bip.as_deref().map(str::parse).transpose();
    let bip = bip.map_err(|_| {
        Error::invalid(format!("invalid value for --bip: {}", config.bip.as_deref().unwrap_or_default()))
    })?;
    // A link of this name would be made and nobody would have wanted it.
    if config.bridge == "none" {
        return Err(Error::invalid(
            "invalid value for --bridge: an engine without a default network is not supported",
        ));
    }
    let defaults = NetConfig::default();
    if config.bridge.is_empty() {
        return Ok(NetConfig { bip, ..defaults });
    }
    Ok(NetConfig { instance: config.bridge.clone(), bridge: config.bridge.clone(), bip, ..defaults })
}

fn make_private_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(folder)
        .map_err(|error| Error::io("mkdir", folder, error))
}

/// The installation's id: made once, kept in a file beside the database.
fn engine_id(data_root: &Path) -> Result<String> {
    let path = data_root.join("engine-id");
    if let Ok(id) = fs::read_to_string(&path) {
        return Ok(id.trim().to_owned());
    }
    let id = ids::new_id();
    fs::write(&path, &id).map_err(|error| Error::io("open", &path, error))?;
    Ok(id)
}

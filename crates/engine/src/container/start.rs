//! `start`, from top to bottom.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use wharf_api::ErrorKind;
use wharf_monitor::{ConsoleSize, LogDriver, MonitorConfig, RootFs};
use wharf_oci::runtime::{LinuxDevice, LinuxSeccomp};
use wharf_runtime::seccomp::{Profile, default_seccomp};
use wharf_store::Mounts;

use super::{
    Container, Entry, Status, attach,
    files::{read_host, write, write_resolv_conf},
    live::Live,
    remove::RemoveOptions,
    spec::{self, Namespace, Namespaces, SpecInput, oci_spec},
    status::Transition::{Exit, Start},
    user::{Accounts, User},
    validate::log_bounds,
};
use crate::{Engine, Error, Result, tables, undo::Undo};

/// Words before the runtime's own when a container cannot be created: clients look for what follows them.
const RUNTIME_FAILED: &str =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: ";

impl Engine {
    /// Starts a container.
    ///
    /// # Errors
    /// No such container; it runs already (304); paused; or whatever keeps it from starting. A failed start of a
    /// container with `--rm` removes it.
    pub fn start_container(self: &Arc<Self>, name: &str, _detach_keys: &str) -> Result<()> {
        let entry = self.containers.find(name)?;
        let guard = entry.lock();
        let status = entry.get().state.status;
        match status {
            Status::Running => return Err(Error::not_modified()),
            Status::Paused => {
                return Err(Error::conflict("cannot start a paused container, try unpause instead"));
            }
            Status::Removing | Status::Dead => {
                return Err(Error::conflict("container is marked for removal and cannot be started"));
            }
            Status::Created | Status::Exited | Status::Restarting => {}
        }
        let started = self.start_locked(&entry, |state| {
            state.restart_count = 0;
            state.restart_delay_ms = 0;
        });
        drop(guard);
        if started.is_err() && entry.get().host_config.auto_remove {
            let options = RemoveOptions { volumes: true, force: true };
            if let Err(error) = self.remove_container(&entry.get().id, options) {
                tracing::warn!(%error, "removing a container that failed to start");
            }
        }
        started
    }

    /// The start that a restart policy asked for; nothing happens if the user intervened meanwhile.
    pub(super) fn restart_by_policy(self: &Arc<Self>, entry: &Arc<Entry>) {
        let _guard = entry.lock();
        let container = entry.get();
        let intervened = container.state.status != Status::Restarting || container.state.stopped_by_user;
        if intervened || self.is_shutting_down() {
            return;
        }
        if let Err(error) = self.start_locked(entry, |_| {}) {
            tracing::warn!(container = %container.id, %error, "restart by policy failed");
            let ended = self.update_container(entry, |container| {
                let state = &mut container.state;
                state.status = state.status.next(Exit).unwrap_or(state.status);
            });
            if let Err(error) = ended {
                tracing::error!(container = %container.id, %error, "recording a failed restart");
            }
        }
    }

    /// Starts the container of an entry whose lock is held, and records a failure.
    fn start_locked(self: &Arc<Self>, entry: &Arc<Entry>, prepare: impl Fn(&mut super::State)) -> Result<()> {
        let result = self.try_start(entry, &prepare);
        if let Err(error) = &result {
            attach::drop_pending(entry);
            let recorded = self.update_container(entry, |container| {
                container.state.error = error.to_string();
                container.state.exit_code = error.exit_code();
            });
            if let Err(error) = recorded {
                tracing::error!(container = %entry.get().id, %error, "recording a failed start");
            }
        }
        result
    }

    fn try_start(self: &Arc<Self>, entry: &Arc<Entry>, prepare: &dyn Fn(&mut super::State)) -> Result<()> {
        let mut container = (*entry.get()).clone();
        let status = container.state.status.next(Start).ok_or_else(Error::not_modified)?;
        let mut undo = Undo::default();

        self.allocate_networks(&mut container)?;
        let allocated = container.clone();
        undo.add(move || self.disconnect_all(&allocated));

        let bundle = self.write_bundle(&container)?;
        let id = container.id.clone();
        undo.add(move || self.remove_monitor_folder(&id));
        let monitor = self.launcher.launch(&bundle)?;
        let pid = monitor.created().map_err(runtime_failed)?;
        // While the container's first process mounts its file systems, its network is set up.
        if let Err(error) = self.connect_networks(&mut container, pid) {
            let gone = fs::metadata(format!("/proc/{pid}/ns/net")).is_err();
            // A process that failed took its namespace with it, and why it failed says more.
            let reason = if gone { monitor.start().err() } else { None };
            return Err(reason.map_or(error, runtime_failed));
        }

        let live = Live { monitor, pid };
        attach::connect_pending(entry, &live)?;
        live.monitor.start().map_err(runtime_failed)?;

        let Live { monitor, .. } = live;
        prepare(&mut container.state);
        container.state.status = status;
        container.state.pid = pid;
        container.state.exit_code = 0;
        container.state.error.clear();
        container.state.oom_killed = false;
        container.state.started_at = Some(Timestamp::now());
        container.state.finished_at = None;
        container.state.stopped_by_user = false;
        container.state.begin_health(&container.config);
        self.db.write(|tx| tables::CONTAINERS.put(tx, &container.id, &container))?;
        undo.disarm();
        let container = entry.publish(container);
        self.events.publish("container", "start", &container.id, container.event_attributes());
        self.watch_monitor(entry, monitor, pid)
    }

    /// Writes the runtime specification and the monitor's configuration; returns their folder.
    fn write_bundle(&self, container: &Container) -> Result<PathBuf> {
        let snapshot = self.snapshot(container)?;
        self.write_bundle_over(container, snapshot.mounts(), &Accounts::of(&snapshot)?)
    }

    /// The same for a container whose root is made of `mounts` and has these accounts.
    ///
    /// # Errors
    /// A configuration that cannot be carried out, or the file system refuses.
    pub(crate) fn write_bundle_over(
        &self,
        container: &Container,
        mounts: &Mounts,
        accounts: &Accounts,
    ) -> Result<PathBuf> {
        let bundle = self.paths.monitor(&container.id);
        fs::create_dir_all(&bundle).map_err(|error| Error::io("mkdir", &bundle, error))?;
        let groups = container.host_config.group_add.as_deref().unwrap_or_default();
        let user = accounts.resolve(&container.config.user, groups)?;
        let spec = oci_spec(&self.spec_input(container, &user)?)?;
        let config = monitor_config(container, mounts, &self.paths)?;
        save(&bundle.join(wharf_monitor::config::SPEC_FILE), &spec)?;
        save(&bundle.join(wharf_monitor::config::CONFIG_FILE), &config)?;
        Ok(bundle)
    }

    fn spec_input<'a>(&self, container: &'a Container, user: &'a User) -> Result<SpecInput<'a>> {
        let host = &container.host_config;
        let namespaces = self.namespaces(container)?;
        let hostname = if host.uts_mode == "host" {
            Some(rustix::system::uname().nodename().to_string_lossy().into_owned())
        } else {
            Some(container.config.hostname.clone())
        };
        let init = host.init.unwrap_or(self.config.init).then(|| self.paths.binary.clone());
        Ok(SpecInput {
            container,
            user,
            hostname,
            namespaces,
            files: self.network_files(container)?,
            init,
            devices: devices(container)?,
            seccomp: seccomp(container)?,
            cgroup: self.cgroup_path(container),
            host_mqueue: Path::new("/dev/mqueue").is_dir(),
            link_env: self.link_environment(container),
        })
    }

    /// New namespaces, the host's, or those of other containers.
    fn namespaces(&self, container: &Container) -> Result<Namespaces> {
        let host = &container.host_config;
        let of_container = |mode: &str, file: &str| {
            let Some(name) = mode.strip_prefix("container:") else { return Ok(None) };
            let entry = self.containers.find(name)?;
            let other = entry.get();
            if !other.state.status.has_process() {
                return Err(Error::conflict(format!(
                    "cannot join the namespace of a non running container: container {} is not running",
                    other.id
                )));
            }
            Ok(Some(Namespace::Join(PathBuf::from(format!("/proc/{}/ns/{file}", other.state.pid)))))
        };
        let choose = |mode: &str, file: &str| {
            Ok::<_, Error>(match mode {
                "host" => Namespace::Host,
                mode => of_container(mode, file)?.unwrap_or_default(),
            })
        };
        Ok(Namespaces {
            network: choose(&host.network_mode, "net").map_err(|error| {
                error.context("joining network namespace of container: ").with_kind(ErrorKind::System)
            })?,
            pid: choose(&host.pid_mode, "pid")?,
            ipc: choose(&host.ipc_mode, "ipc")?,
            uts: choose(&host.uts_mode, "uts")?,
            cgroup: if host.cgroupns_mode == "host" { Namespace::Host } else { Namespace::New },
        })
    }

    /// Writes the container's `hosts`, `hostname` and `resolv.conf`; returns what is mounted where.
    fn network_files(&self, container: &Container) -> Result<Vec<(PathBuf, &'static str)>> {
        let mut owner = container;
        let joined;
        if let Some(name) = container.network_container() {
            // The files of the container whose network is shared are shared too.
            joined = self.containers.find(name)?.get();
            owner = &joined;
        }
        let folder = self.paths.container(&owner.id);
        if std::ptr::eq(owner, container) {
            write(&folder, "hostname", &format!("{}\n", container.config.hostname))?;
            let host_file = |path: &str| read_host(path).map_err(|e| Error::io("open", Path::new(path), e));
            write(&folder, "hosts", &self.hosts_text(container, || host_file("/etc/hosts"))?)?;
            write_resolv_conf(&folder, &self.resolv_conf_text(container, &host_file("/etc/resolv.conf")?))?;
        }
        Ok(vec![
            (folder.join("resolv.conf"), "/etc/resolv.conf"),
            (folder.join("hostname"), "/etc/hostname"),
            (folder.join("hosts"), "/etc/hosts"),
        ])
    }

    /// Deletes the run folder of a container, which holds its bundle and exit record.
    pub(crate) fn remove_monitor_folder(&self, id: &str) {
        let folder = self.paths.monitor(id);
        if let Err(error) = fs::remove_dir_all(&folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %folder.display(), %error, "cannot be removed");
        }
    }
}

/// Gives a failed creation of the first process Docker's words.
fn runtime_failed(error: wharf_monitor::Error) -> Error {
    let error = Error::from(error);
    if error.exit_code() == 128 && error.kind() == ErrorKind::System {
        return error;
    }
    error.context(RUNTIME_FAILED).with_kind(ErrorKind::InvalidParameter)
}

fn save(path: &Path, document: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_vec(document).map_err(|error| Error::system(error.to_string()))?;
    fs::write(path, text).map_err(|error| Error::io("open", path, error))
}

fn monitor_config(container: &Container, mounts: &Mounts, paths: &crate::Paths) -> Result<MonitorConfig> {
    let Container { config, host_config: host, .. } = container;
    let mut log = log_bounds(&host.log_config).map_err(|error| {
        Error::system(format!(
            "failed to create task for container: failed to initialize logging driver: {error}"
        ))
    })?;
    log.driver = if host.log_config.kind == "none" { LogDriver::None } else { LogDriver::JsonFile };
    log.path = paths.container_log(container);
    if let Some(folder) = log.path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io("mkdir", folder, error))?;
    }
    log.attrs = super::log_attributes::attributes(container)?;
    let [height, width] = host.console_size.map(|size| u16::try_from(size).unwrap_or(u16::MAX));
    Ok(MonitorConfig {
        id: container.id.clone(),
        rootfs: RootFs::Overlay {
            lower: mounts.lower.clone(),
            upper: Some(mounts.upper.clone()),
            work: Some(mounts.work.clone()),
            options: mounts.options.clone(),
        },
        terminal: config.tty,
        console_size: (config.tty && height > 0 && width > 0).then_some(ConsoleSize { height, width }),
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        log,
        spill_dir: paths.container(&container.id),
        ..MonitorConfig::default()
    })
}

/// The device nodes of `--device`, or all of the host's with `--privileged`, with their permissions.
fn devices(container: &Container) -> Result<Vec<(LinuxDevice, String)>> {
    let host = &container.host_config;
    let mut devices = Vec::new();
    if host.privileged {
        let all = spec::host_devices().map_err(|error| Error::io("open", Path::new("/dev"), error))?;
        devices.extend(all.into_iter().map(|device| (device, "rwm".to_owned())));
    }
    for mapping in host.resources.devices.iter().flatten() {
        for device in spec::host_device(&mapping.path_on_host, &mapping.path_in_container)? {
            devices.push((device, mapping.cgroup_permissions.clone()));
        }
    }
    Ok(devices)
}

/// The filter: none if privileged or unconfined, the user's own profile, or the default one.
fn seccomp(container: &Container) -> Result<Option<LinuxSeccomp>> {
    let host = &container.host_config;
    let wanted = spec::security_options(host).find(|(key, _)| *key == "seccomp").map(|(_, value)| value);
    let capabilities = spec::wanted_capabilities(host);
    match wanted {
        Some("unconfined") => Ok(None),
        None if host.privileged => Ok(None),
        None | Some("builtin") => Ok(Some(default_seccomp(&capabilities))),
        Some(profile) => Profile::parse(profile)
            .and_then(|profile| profile.resolve(&capabilities))
            .map(Some)
            .map_err(|error| Error::system(format!("decoding seccomp profile failed: {error}"))),
    }
}

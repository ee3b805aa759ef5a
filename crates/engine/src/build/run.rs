//! A `RUN` step's process: run as a container's is, by the same launcher, monitor and runtime, but listed nowhere.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use wharf_api::{
    container::{Config, HostConfig, MountPoint, NetworkingConfig, Resources, Ulimit},
    stream::{Decoder, StreamKind},
};
use wharf_build::graph::{RunNetwork, RunStep};
use wharf_monitor::{AttachSpec, Client, Event};
use wharf_store::Snapshot;

use super::{Cancel, StepError};
use crate::{
    Engine, Error, Result,
    container::{Accounts, Container, State, default_host_config},
    network::wanted_endpoints,
    undo::Undo,
};

/// Host name of every step, as BuildKit has it.
const HOSTNAME: &str = "buildkitsandbox";

/// Mount points and files that a process finds even in an empty file system; mounted below the layers, so that nothing
/// of it becomes part of the image.
const FOLDERS: [&str; 6] = ["dev/pts", "dev/shm", "dev/mqueue", "etc", "proc", "sys"];
const FILES: [&str; 4] = ["dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// What all steps of a build have in common.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// `default`, `bridge`, `none`, `host` or the name of a network; the default one if empty.
    pub network: String,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    /// Size of `/dev/shm` in bytes; 64 MiB if 0.
    pub shm_size: i64,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Cgroup below which the steps are put.
    pub cgroup_parent: String,
    /// Shares of memory and processors; `ulimits` and `cgroup_parent` of these are not looked at.
    pub resources: Resources,
}

/// What a step gets that is not in its file system.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Bind mounts.
    pub(super) binds: Vec<MountPoint>,
    /// Options of tmpfs mounts, by path.
    pub(super) tmpfs: BTreeMap<String, String>,
    /// Further variables.
    pub(super) env: Vec<String>,
}

impl Extras {
    /// Adds a bind mount.
    pub(super) fn bind(&mut self, source: &Path, target: &str, writable: bool) {
        self.binds.push(MountPoint {
            kind: "bind".to_owned(),
            source: source.display().to_string(),
            destination: target.to_owned(),
            rw: writable,
            ..MountPoint::default()
        });
    }
}

/// A step about to run in a file system.
pub(super) struct Run<'a> {
    pub(super) engine: &'a Engine,
    pub(super) step: &'a RunStep,
    pub(super) options: &'a RunOptions,
    /// Id of the step, of its snapshot and its bundle.
    pub(super) id: &'a str,
    pub(super) snapshot: &'a Snapshot,
    pub(super) extras: Extras,
    pub(super) cancel: &'a Cancel,
}

impl Run<'_> {
    /// Runs the step's process to its end; `output` gets what it writes.
    ///
    /// # Errors
    /// [`StepError::Exit`] if it fails, or whatever kept it from running.
    pub(super) fn run(self, output: &mut dyn FnMut(&[u8])) -> Result<(), StepError> {
        let mut container = self.container();
        let stubs = self.stubs()?;
        let mut undo = Undo::default();
        let folder = self.engine.paths.container(self.id);
        fs::create_dir_all(&folder).map_err(|error| Error::io("mkdir", &folder, error))?;
        undo.add(move || {
            let _ = fs::remove_dir_all(&folder);
        });
        self.engine.allocate_networks(&mut container)?;
        let allocated = container.clone();
        undo.add(move || self.engine.disconnect_all(&allocated));
        let mut mounts = self.snapshot.mounts().clone();
        mounts.lower.push(stubs);
        undo.add(|| self.engine.remove_monitor_folder(self.id));
        let accounts = Accounts::of(self.snapshot)?;
        let bundle = self.engine.write_bundle_over(&container, &mounts, &accounts)?;
        let monitor = Arc::new(self.engine.launcher.launch(&bundle).map_err(Error::from)?);
        let pid = monitor.created().map_err(Error::from)?;
        self.engine.connect_networks(&mut container, pid)?;
        let code = self.cancel.watching(&monitor, || self.follow(&monitor, output))?;
        let _ = monitor.release();
        if self.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if code == 0 { Ok(()) } else { Err(StepError::Exit { args: self.step.args.clone(), code }) }
    }

    /// Starts the process and hands on what it writes until it has ended; returns its exit code.
    fn follow(&self, monitor: &Client, output: &mut dyn FnMut(&[u8])) -> Result<i32> {
        let attach =
            AttachSpec { exec: None, stdin: false, stdout: true, stderr: true, detach_keys: String::new() };
        let stream = monitor.attach(&attach)?;
        if let Err(error) = monitor.start() {
            if error.remote_kind().is_none() {
                return Err(error.into());
            }
            output(format!("runc run failed: unable to start container process: {error}\n").as_bytes());
            return Ok(1);
        }
        forward(stream, output).map_err(|error| Error::system(error.to_string()))?;
        for event in monitor.events(0)? {
            if let Event::Exited(exit) = event?.event {
                return Ok(exit.exit_code);
            }
        }
        let exit = wharf_monitor::read_exit(&self.engine.paths.monitor(self.id))?;
        Ok(exit.map_or(255, |exit| exit.exit_code))
    }

    /// The record of a container that runs the step.
    fn container(&self) -> Container {
        let (step, options) = (self.step, self.options);
        let mode = match (step.network, options.network.as_str()) {
            (RunNetwork::None, _) | (RunNetwork::Default, "none") => "none",
            (RunNetwork::Host, _) | (RunNetwork::Default, "host") => "host",
            (RunNetwork::Default, "" | "default") if self.engine.network("bridge").is_err() => "none",
            (RunNetwork::Default, "" | "default") => "bridge",
            (RunNetwork::Default, name) => name,
        };
        let mut host = HostConfig {
            network_mode: mode.to_owned(),
            extra_hosts: Some(options.extra_hosts.clone()),
            shm_size: options.shm_size,
            tmpfs: self.extras.tmpfs.clone(),
            privileged: step.insecure,
            resources: options.resources.clone(),
            ..HostConfig::default()
        };
        host.log_config.kind = "none".to_owned();
        host.resources.ulimits = Some(options.ulimits.clone());
        host.resources.cgroup_parent.clone_from(&options.cgroup_parent);
        let host = default_host_config(host, self.engine.unified_cgroups());
        let mut env = step.env.clone();
        env.extend(step.hidden_env.iter().chain(&self.extras.env).cloned());
        let mut args = step.args.iter().cloned();
        Container {
            id: self.id.to_owned(),
            name: self.id.to_owned(),
            created: Timestamp::now(),
            path: args.next().unwrap_or_default(),
            args: args.collect(),
            networks: wanted_endpoints(&host, NetworkingConfig::default()),
            config: Config {
                env: Some(env),
                working_dir: step.cwd.clone(),
                user: step.user.clone(),
                hostname: HOSTNAME.to_owned(),
                ..Config::default()
            },
            host_config: host,
            mounts: self.extras.binds.clone(),
            state: State::default(),
            ..Container::default()
        }
    }

    /// Makes the folder that lies below all layers, with what the process's mounts are put on.
    fn stubs(&self) -> Result<PathBuf> {
        let stubs = self.snapshot.upper().with_file_name("stubs");
        let folder = |path: &Path| fs::create_dir_all(path).map_err(|error| Error::io("mkdir", path, error));
        let file = |path: &Path| {
            path.parent().map_or(Ok(()), folder)?;
            fs::write(path, "").map_err(|error| Error::io("open", path, error))
        };
        FOLDERS.iter().try_for_each(|path| folder(&stubs.join(path)))?;
        FILES.iter().try_for_each(|path| file(&stubs.join(path)))?;
        for target in self.extras.tmpfs.keys() {
            folder(&inside(&stubs, target))?;
        }
        for bind in &self.extras.binds {
            // Below another mount it is found there, or made there.
            let place = inside(&stubs, &bind.destination);
            if Path::new(&bind.source).is_dir() { folder(&place)? } else { file(&place)? }
        }
        Ok(stubs)
    }
}

/// A path below the stubs; one with `..` stays out of them.
fn inside(stubs: &Path, target: &str) -> PathBuf {
    let plain = target.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
    plain.fold(stubs.to_owned(), |path, part| path.join(part))
}

/// Takes the output to its end.
fn forward(mut stream: UnixStream, output: &mut dyn FnMut(&[u8])) -> std::io::Result<()> {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let fed = decoder.feed(&buffer[..read], |kind, part| {
            if matches!(kind, StreamKind::Stdout | StreamKind::Stderr) {
                output(part);
            }
        });
        fed.map_err(|error| std::io::Error::other(error.to_string()))?;
    }
}

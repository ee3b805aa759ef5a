//! `RUN --mount`: what a step finds besides its file system.

use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
use wharf_build::{
    graph::{CopySource, CopyStep, Mount, MountKind, NodeId, RunStep, Sharing},
    solve::Claim,
};
use wharf_oci::Digest;

use super::{
    Report, StepError,
    agent::AgentSocket,
    copy::{Copy, Source},
    run::{Extras, Run},
    select::{Origin, open},
    worker::{Build, Scratch, Value},
};
use crate::{Engine, Error, Result};

/// The path in a node that a mount shows, if it is of that node.
pub(super) fn source_in(mount: &Mount, node: NodeId) -> Option<&str> {
    match &mount.kind {
        MountKind::Bind { from, source, .. } if *from == node => Some(source),
        MountKind::Cache { from: Some((from, path)), .. } if *from == node => Some(path),
        _ => None,
    }
}

/// What must stay while the step runs.
#[derive(Default)]
struct Held<'a> {
    scratches: Vec<Scratch<'a>>,
    files: Vec<OwnedFd>,
    claims: Vec<Claim>,
    agents: Vec<AgentSocket>,
}

impl<'a> Build<'a> {
    /// Runs a `RUN` step in its file system.
    pub(super) fn run_step(
        &self,
        id: NodeId,
        step: &RunStep,
        scratch: &Scratch<'_>,
        inputs: &[(NodeId, Value)],
    ) -> Result<(), StepError> {
        if let Some(device) = step.devices.first() {
            return Err(
                Error::not_implemented(format!("device {device:?}: devices are not supported")).into()
            );
        }
        let (mut extras, mut held) = (Extras::default(), Held::default());
        let private = self.engine.paths.monitor(&scratch.id);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&private)
            .map_err(|error| Error::io("mkdir", &private, error))?;
        held.claims = self.lock_caches(step);
        let engine: &Engine = self.engine;
        let _gone = Gone { engine, id: &scratch.id };
        for (number, mount) in step.mounts.iter().enumerate() {
            let file = private.join(format!("mount-{number}"));
            self.mount(mount, inputs, &file, &mut extras, &mut held)?;
        }
        for (number, (path, text)) in step.scripts.iter().enumerate() {
            let file = private.join(format!("script-{number}"));
            write_private(&file, text.as_bytes(), (0o755, 0, 0))?;
            extras.bind(&file, path, false);
        }
        let run = Run {
            engine: self.engine,
            step,
            options: self.run,
            id: &scratch.id,
            snapshot: &scratch.snapshot,
            extras,
            cancel: self.cancel,
        };
        run.run(&mut |text| self.client.report(Report::Output { step: id.0, text }))
    }

    /// Claims the caches that a step has for itself, in an order that all steps keep, so that none wait for each other.
    fn lock_caches(&self, step: &RunStep) -> Vec<Claim> {
        let locked = step.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Cache { id, sharing: Sharing::Locked, .. } => Some(cache_key(id, 0)),
            _ => None,
        });
        let keys: BTreeMap<String, Digest> = locked.map(|key| (key.to_string(), key)).collect();
        keys.values().map(|key| self.engine.builder.caches.claim(key)).collect()
    }

    fn mount(
        &self,
        mount: &Mount,
        inputs: &[(NodeId, Value)],
        file: &Path,
        extras: &mut Extras,
        held: &mut Held<'a>,
    ) -> Result<()> {
        let target = mount.target.as_str();
        match &mount.kind {
            MountKind::Bind { from, source, writable } => {
                let source = self.shown(input(inputs, *from)?, source, *writable, held)?;
                extras.bind(&source, target, *writable);
            }
            MountKind::Cache { id, sharing, from, read_only, mode, uid, gid } => {
                let folder = self.cache_folder(id, *sharing, held)?;
                if !folder.exists() {
                    self.make_cache(&folder, from.as_ref(), inputs, (*mode, *uid, *gid), held)?;
                }
                // Only for those who look at the cache: the build does not need it.
                let _ = fs::write(super::prune::note(&folder), id);
                extras.bind(&folder, target, !*read_only);
            }
            MountKind::Tmpfs { size } => {
                let size = size.map(|size| format!(",size={size}")).unwrap_or_default();
                extras.tmpfs.insert(target.to_owned(), format!("exec{size}"));
            }
            MountKind::Secret { id, required, env, mode, uid, gid } => {
                let Some(secret) = self.client.secret(id)? else {
                    return match required {
                        true => Err(Error::not_found(format!("secret {id}: not found"))),
                        false => Ok(()),
                    };
                };
                if let Some(name) = env {
                    let text = String::from_utf8(secret.clone());
                    let text = text.map_err(|_| Error::invalid(format!("secret {id} is no text")))?;
                    extras.env.push(format!("{name}={text}"));
                }
                if !target.is_empty() {
                    write_private(file, &secret, (*mode, *uid, *gid))?;
                    extras.bind(file, target, false);
                }
            }
            // Where it is no must, there is nothing to mount.
            MountKind::Ssh { id, required, mode, uid, gid } => match self.client.agent(id) {
                Some(agent) => {
                    let socket = AgentSocket::serve(file, agent, (*mode, *uid, *gid))?;
                    extras.bind(socket.path(), target, true);
                    if held.agents.is_empty() {
                        extras.env.push(format!("SSH_AUTH_SOCK={target}"));
                    }
                    held.agents.push(socket);
                }
                None if *required => {
                    return Err(Error::invalid(format!("no SSH key {id:?} forwarded from the client")));
                }
                None => {}
            },
        }
        Ok(())
    }

    /// A place on the host that shows a path of an input.
    fn shown(&self, value: &Value, path: &str, writable: bool, held: &mut Held<'a>) -> Result<PathBuf> {
        if let (Value::Layers(layers), false) = (value, writable)
            && let [chain] = layers.chains.as_slice()
        {
            let diff = self.engine.store.layer_diff(chain);
            let root = rustix::fs::open(&diff, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| Error::io("open", &diff, errno.into()))?;
            let found = open(std::os::fd::AsFd::as_fd(&root), path, OFlags::PATH)
                .map_err(|_| super::copy::not_found(path))?;
            // The runtime is another process, and the path may be a link to anywhere.
            let place = format!("/proc/{}/fd/{}", std::process::id(), found.as_raw_fd());
            held.files.push(found);
            return Ok(place.into());
        }
        let scratch = self.scratch(&[])?;
        self.copy_out(value, path, &scratch)?;
        let place = scratch.snapshot.upper().join("mounted");
        held.scratches.push(scratch);
        Ok(place)
    }

    /// Copies a path of an input to `/mounted` in a step's file system.
    fn copy_out(&self, value: &Value, path: &str, scratch: &Scratch<'_>) -> Result<()> {
        let step = CopyStep {
            root: NodeId(0),
            sources: vec![CopySource::Node { from: NodeId(1), path: path.to_owned(), unpack: false }],
            destination: "/mounted".to_owned(),
            chown: None,
            chmod: None,
            parents: false,
            exclude: Vec::new(),
        };
        let copy = |origin: Origin<'_>| {
            let source = Source::Path { origin, path, unpack: false };
            let upper = scratch.snapshot.upper();
            scratch
                .snapshot
                .with_mounted(|root| Copy::new(&step, root, upper, None, self.now)?.run(&[source]))?
        };
        match value {
            Value::Files(tree) => copy(Origin::Tree(tree)),
            Value::Layers(layers) => {
                let from = self.scratch(&layers.chains)?;
                from.snapshot.with_mounted(|root| copy(Origin::Root(root)))?
            }
        }
    }

    /// The folder of a cache. One that is private is claimed; one that is locked was before.
    fn cache_folder(&self, id: &str, sharing: Sharing, held: &mut Held<'a>) -> Result<PathBuf> {
        let caches = self.engine.paths.caches();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&caches)
            .map_err(|error| Error::io("mkdir", &caches, error))?;
        let mut number = 0;
        if sharing == Sharing::Private {
            while self.engine.builder.caches.is_claimed(&cache_key(id, number)) {
                number += 1;
            }
            held.claims.push(self.engine.builder.caches.claim(&cache_key(id, number)));
        }
        Ok(caches.join(cache_key(id, number).hex()))
    }

    fn make_cache(
        &self,
        folder: &Path,
        from: Option<&(NodeId, String)>,
        inputs: &[(NodeId, Value)],
        (mode, uid, gid): (u32, u32, u32),
        held: &mut Held<'a>,
    ) -> Result<()> {
        let failed = |error| Error::io("mkdir", folder, error);
        let scratch = self.scratch(&[])?;
        let made = scratch.snapshot.upper().join("mounted");
        match from {
            Some((node, path)) => self.copy_out(input(inputs, *node)?, path, &scratch)?,
            None => {
                fs::create_dir(&made).map_err(failed)?;
                fs::set_permissions(&made, fs::Permissions::from_mode(mode)).map_err(failed)?;
                chown(&made, Some(uid), Some(gid)).map_err(failed)?;
            }
        }
        match fs::rename(&made, folder) {
            // Another step was faster.
            Err(_) if folder.exists() => {}
            other => other.map_err(failed)?,
        }
        held.scratches.push(scratch);
        Ok(())
    }
}

impl crate::Paths {
    /// The folders of `RUN --mount=type=cache`.
    pub(super) fn caches(&self) -> PathBuf {
        self.data_root.join("build").join("caches")
    }
}

/// Removes a step's private folder, which may hold secrets.
struct Gone<'a> {
    engine: &'a Engine,
    id: &'a str,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.engine.remove_monitor_folder(self.id);
    }
}

/// What stands for the `number`th folder of a cache.
fn cache_key(id: &str, number: usize) -> Digest {
    Digest::sha256(format!("{id}\0{number}").as_bytes())
}

fn input(inputs: &[(NodeId, Value)], node: NodeId) -> Result<&Value> {
    let found = inputs.iter().find(|(id, _)| *id == node);
    found.map(|(_, value)| value).ok_or_else(|| Error::system("a mount of a step that was not done"))
}

fn write_private(path: &Path, content: &[u8], (mode, uid, gid): (u32, u32, u32)) -> Result<()> {
    let failed = |error| Error::io("open", path, error);
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    std::io::Write::write_all(&mut file, content).map_err(failed)?;
    chown(path, Some(uid), Some(gid)).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)
}

//! The engine's side of the walk over a graph: file systems are layers of the store, files are listings of the client.

use std::{
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use jiff::Timestamp;
use wharf_build::{
    graph::{CopySource, CopyStep, Graph, MergeStep, MkdirStep, Node, NodeId, Op},
    solve::{Stage, Worker},
};
use wharf_oci::Digest;
use wharf_store::{CacheRecord, Lease, Snapshot};

use super::{
    BuildClient, Cancel, Report, RunOptions, StepError,
    base::{Base, Bases},
    cache::Imports,
    copy::{Copy, Source, not_found},
    pattern::Excludes,
    place::{FOLDER_MODE, make_folders},
    select::{Origin, select},
    tree::Tree,
    vertex::Vertices,
};
use crate::{Engine, Error, Result, container::Accounts, ids};

/// What a step ends in.
#[derive(Clone)]
pub(super) enum Value {
    /// A file system.
    Layers(Arc<Layers>),
    /// Files of the client.
    Files(Arc<Tree>),
}

/// A file system.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Chain ids, bottom first.
    pub(super) chains: Vec<Digest>,
    /// When its topmost layer was made, if a step made it.
    pub(super) created: Option<Timestamp>,
    /// Key of the step that made it.
    pub(super) key: Option<Digest>,
    /// All that is known is the last chain id, because a cache elsewhere has the result: the name of the step.
    pub(super) pending: Option<String>,
    /// It is an image's, whose layers are in a registry still.
    pub(super) base: Option<Base>,
}

impl Value {
    pub(super) fn layers(&self) -> Result<&Arc<Layers>> {
        match self {
            Self::Layers(layers) => Ok(layers),
            Self::Files(_) => Err(Error::system("a step cannot work on files of the client alone")),
        }
    }
}

/// A build's worker.
pub(super) struct Build<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) graph: &'a Graph,
    pub(super) client: &'a dyn BuildClient,
    pub(super) run: &'a RunOptions,
    pub(super) cancel: &'a Cancel,
    /// Keeps every layer the build uses.
    pub(super) lease: Lease,
    /// Listings by name of the context.
    pub(super) contexts: Mutex<HashMap<String, Arc<Tree>>>,
    /// Seconds since the epoch for what has no time of its own.
    pub(super) now: i64,
    /// Caches of other hosts.
    pub(super) imports: Imports,
    /// Shows what is no step.
    pub(super) vertices: Vertices<'a>,
    /// Images that may be in registries still.
    pub(super) bases: &'a Bases,
}

/// A snapshot of a step, removed at its end.
pub(super) struct Scratch<'a> {
    pub(super) engine: &'a Engine,
    pub(super) id: String,
    pub(super) snapshot: Snapshot,
    /// It is somebody else's now.
    pub(super) given: bool,
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if self.given {
            return;
        }
        let removed = self.engine.db.write(|tx| self.engine.store.snapshots().remove(tx, &self.id));
        if let Err(error) = removed {
            tracing::warn!(step = %self.id, %error, "a step's folder stays until the next start");
        }
    }
}

impl Drop for Build<'_> {
    fn drop(&mut self) {
        if self.engine.builder.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.engine.measure_build_cache();
        }
        if let Err(error) = self.engine.trim_build_cache() {
            tracing::warn!(%error, "the build cache is larger than it should be");
        }
        // Not after each step: syncing what is new to the disk would make the next one wait.
        self.engine.housekeeper.soon();
    }
}

impl Worker for Build<'_> {
    type Value = Value;
    type Error = StepError;

    fn source(&self, id: NodeId, node: &Node) -> Result<Value, StepError> {
        self.check_cancelled()?;
        match &node.op {
            Op::Scratch => Ok(Value::Layers(Arc::default())),
            Op::Image(image) => Ok(Value::Layers(Arc::new(self.base(id, &image.id)?))),
            Op::Context(context) => Ok(Value::Files(self.context(&context.name)?)),
            Op::Http(http) => Ok(Value::Files(Arc::new(self.download(http)?))),
            Op::Git(git) => Ok(Value::Files(Arc::new(self.clone_repository(id, git)?))),
            Op::Run(_) | Op::Copy(_) | Op::Mkdir(_) | Op::Merge(_) => {
                Err(Error::system("a step is no source").into())
            }
        }
    }

    fn fingerprint(&self, node: &Node, input: NodeId, value: &Value) -> Result<String, StepError> {
        match value {
            Value::Layers(layers) => Ok(layers.chains.last().map(ToString::to_string).unwrap_or_default()),
            Value::Files(tree) => Ok(self.selection(node, input, tree)?.to_string()),
        }
    }

    fn cached(&self, node: &Node, key: &Digest) -> Result<Option<Value>, StepError> {
        self.check_cancelled()?;
        let engine = self.engine;
        let found = engine.db.write(|tx| {
            let Some(mut record) = engine.store.cache().get(tx, key)? else { return Ok(None) };
            record.chains.iter().for_each(|chain| self.lease.hold(chain));
            record.last_used = Timestamp::now();
            record.uses += 1;
            engine.store.cache().put(tx, key, &record)?;
            Ok::<_, Error>(Some(record))
        })?;
        let here = |record: CacheRecord| Layers {
            chains: record.chains,
            created: Some(record.created),
            key: Some(key.clone()),
            pending: None,
            base: None,
        };
        let found = found.map(here).or_else(|| self.imports.known(key, &node.name));
        Ok(found.map(|layers| Value::Layers(Arc::new(layers))))
    }

    fn at_hand(&self, value: &Value) -> Result<Option<Value>, StepError> {
        match value {
            Value::Layers(layers) if layers.pending.is_some() => {
                self.check_cancelled()?;
                Ok(self.fetch_known(layers)?.map(|layers| Value::Layers(Arc::new(layers))))
            }
            Value::Layers(layers) => match &layers.base {
                Some(base) => Ok(Some(Value::Layers(Arc::new(self.base_at_hand(base)?)))),
                None => Ok(Some(value.clone())),
            },
            Value::Files(_) => Ok(Some(value.clone())),
        }
    }

    fn execute(
        &self,
        id: NodeId,
        node: &Node,
        inputs: &[(NodeId, Value)],
        key: &Digest,
    ) -> Result<Value, StepError> {
        self.check_cancelled()?;
        // Verbs of the engine find the runtime by the thread they are called on.
        let _runtime = self.engine.runtime.enter();
        let root = match inputs.first() {
            Some((_, value)) => value.layers()?,
            None => return Err(Error::system("a step without a file system").into()),
        };
        let mut scratch = self.scratch(&root.chains)?;
        match &node.op {
            Op::Run(step) => self.run_step(id, step, &scratch, inputs).inspect_err(|error| {
                if matches!(error, StepError::Exit { .. }) && !self.cancel.is_cancelled() {
                    scratch.given = self.engine.keep_failed(&scratch.id, step);
                }
            })?,
            Op::Copy(step) => self.copy(step, &scratch, inputs)?,
            Op::Merge(step) => self.copy(&step.copy, &scratch, inputs)?,
            Op::Mkdir(step) => mkdir(step, &scratch.snapshot)?,
            _ => return Err(Error::system("a source is no step").into()),
        }
        self.check_cancelled()?;
        Ok(self.seal(node, root, &scratch, key)?)
    }

    fn merge(&self, lower: &Value, upper: &Value) -> Result<Option<Value>, StepError> {
        let (lower, upper) = (lower.layers()?, upper.layers()?);
        let mut chains = lower.chains.clone();
        for top in &upper.chains {
            if !self.engine.store.is_addition(top, &chains)? {
                return Ok(None);
            }
            let layer = self.engine.store.stack(top, chains.last(), &self.lease)?;
            chains.push(layer.chain_id);
        }
        let (created, key) = (upper.created, upper.key.clone());
        Ok(Some(Value::Layers(Arc::new(Layers { chains, created, key, pending: None, base: None }))))
    }

    fn progress(&self, id: NodeId, stage: Stage<'_, Value, StepError>) {
        if let Stage::Cached(Value::Layers(layers)) | Stage::Done(Value::Layers(layers)) = &stage {
            self.client.made(id, layers);
        }
        if matches!(self.graph.nodes[id.0].op, Op::Merge(_)) {
            // Nobody is told of it.
            return;
        }
        self.client.report(match stage {
            Stage::Started => Report::Started { step: id.0, name: &self.graph.nodes[id.0].name },
            Stage::Cached(_) => Report::Cached { step: id.0 },
            Stage::Done(_) => Report::Done { step: id.0 },
            Stage::Failed(error) => Report::Failed { step: id.0, error: error.to_string() },
        });
    }

    fn abort(&self) {
        self.cancel.cancel();
    }
}

impl<'a> Build<'a> {
    fn check_cancelled(&self) -> Result<(), StepError> {
        if self.cancel.is_cancelled() { Err(StepError::Cancelled) } else { Ok(()) }
    }

    /// The layers of an image, which stay while the build goes on.
    pub(super) fn image(&self, id: &Digest) -> Result<Layers> {
        let engine = self.engine;
        engine.db.write(|tx| {
            let Some(record) = engine.store.images().get(tx, id)? else {
                return Err(Error::not_found(format!("No such image: {id}")));
            };
            record.chains.iter().for_each(|chain| self.lease.hold(chain));
            Ok(Layers { chains: record.chains, ..Layers::default() })
        })
    }

    fn context(&self, name: &str) -> Result<Arc<Tree>> {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = contexts.get(name) {
            return Ok(tree.clone());
        }
        let tree = Arc::new(self.client.context(name)?);
        contexts.insert(name.to_owned(), tree.clone());
        Ok(tree)
    }

    /// A digest of what a step uses of the client's files.
    fn selection(&self, node: &Node, input: NodeId, tree: &Tree) -> Result<Digest> {
        let mut tops = Vec::new();
        let mut add = |path: &str| {
            let found = select(Origin::Tree(tree), path);
            if found.is_empty() {
                return Err(missing(path));
            }
            tops.extend(found.into_iter().map(|selected| selected.real));
            Ok(())
        };
        match &node.op {
            Op::Copy(step) | Op::Merge(MergeStep { copy: step, .. }) => {
                for source in &step.sources {
                    if let CopySource::Node { from, path, .. } = source
                        && *from == input
                    {
                        add(path)?;
                    }
                }
                let excludes = Excludes::new(&step.exclude)?;
                tree.digest(&tops, &|path| excludes.excludes(path))
            }
            Op::Run(step) => {
                for mount in &step.mounts {
                    if let Some(path) = super::mounts::source_in(mount, input) {
                        add(path)?;
                    }
                }
                tree.digest(&tops, &|_| false)
            }
            _ => tree.digest(&[String::new()], &|_| false),
        }
    }

    /// A new file system over layers, for one step.
    pub(super) fn scratch(&self, chains: &[Digest]) -> Result<Scratch<'a>> {
        let engine: &'a Engine = self.engine;
        let id = ids::new_id();
        let snapshot =
            engine.db.write(|tx| Ok::<_, Error>(engine.store.snapshots().scratch(tx, &id, chains)?))?;
        Ok(Scratch { engine, id, snapshot, given: false })
    }

    fn copy(&self, step: &CopyStep, scratch: &Scratch<'_>, inputs: &[(NodeId, Value)]) -> Result<()> {
        let owner = step.chown.as_deref().map(|owner| resolve_owner(owner, &scratch.snapshot)).transpose()?;
        let mut origins = HashMap::new();
        for (id, value) in inputs.iter().skip(1) {
            if let (Value::Layers(layers), false) = (value, origins.contains_key(id)) {
                origins.insert(*id, self.scratch(&layers.chains)?);
            }
        }
        let trees: HashMap<NodeId, &Tree> = inputs
            .iter()
            .filter_map(|(id, value)| match value {
                Value::Files(tree) => Some((*id, tree.as_ref())),
                Value::Layers(_) => None,
            })
            .collect();
        let mut roots: Vec<(NodeId, &Snapshot)> =
            origins.iter().map(|(id, scratch)| (*id, &scratch.snapshot)).collect();
        let mounted = |opened: &HashMap<NodeId, BorrowedFd<'_>>| {
            let mut sources = Vec::new();
            for source in &step.sources {
                sources.push(match source {
                    CopySource::Inline { name, content } => Source::Inline { name, content },
                    CopySource::Node { from, path, unpack } => {
                        let tree = trees.get(from).map(|tree| Origin::Tree(tree));
                        let origin = tree.or_else(|| opened.get(from).map(|root| Origin::Root(*root)));
                        let origin = origin.ok_or_else(|| not_found(path))?;
                        Source::Path { origin, path, unpack: *unpack }
                    }
                });
            }
            let upper = scratch.snapshot.upper();
            scratch
                .snapshot
                .with_mounted(|root| Copy::new(step, root, upper, owner, self.now)?.run(&sources))?
        };
        with_all_mounted(&mut roots, HashMap::new(), &mounted)
    }

    /// Makes what a step changed a layer and remembers it.
    fn seal(&self, node: &Node, root: &Layers, scratch: &Scratch<'_>, key: &Digest) -> Result<Value> {
        let engine = self.engine;
        let layer = engine.store.seal(&scratch.snapshot, &self.lease, node.newest)?;
        let mut chains = root.chains.clone();
        chains.push(layer.chain_id);
        let now = Timestamp::now();
        let record = CacheRecord {
            chains: chains.clone(),
            parent: root.key.clone(),
            size: layer.size,
            description: node.name.clone(),
            created: now,
            last_used: now,
            uses: 0,
        };
        engine.db.write(|tx| Ok::<_, Error>(engine.store.cache().put(tx, key, &record)?))?;
        Ok(Value::Layers(Arc::new(Layers {
            chains,
            created: Some(now),
            key: Some(key.clone()),
            pending: None,
            base: None,
        })))
    }
}

/// Mounts one file system after the other, each inside the mount of the one before, and then does the work.
fn with_all_mounted<'a>(
    left: &mut Vec<(NodeId, &'a Snapshot)>,
    opened: HashMap<NodeId, BorrowedFd<'_>>,
    work: &(dyn Fn(&HashMap<NodeId, BorrowedFd<'_>>) -> Result<()> + Sync),
) -> Result<()> {
    let Some((id, snapshot)) = left.pop() else { return work(&opened) };
    snapshot.with_mounted(|root| {
        let mut opened: HashMap<NodeId, BorrowedFd<'_>> = opened;
        opened.insert(id, root.as_fd());
        with_all_mounted(left, opened, work)
    })?
}

fn mkdir(step: &MkdirStep, snapshot: &Snapshot) -> Result<()> {
    let owner = match step.user.as_str() {
        "" => (0, 0),
        user => resolve_owner(user, snapshot)?,
    };
    snapshot.with_mounted(|root| make_folders(root, &step.path, owner, FOLDER_MODE).map(drop))?
}

/// `--chown` or `USER` in the accounts of a file system. A number without a group is the group's too.
fn resolve_owner(owner: &str, snapshot: &Snapshot) -> Result<(u32, u32)> {
    if let Ok(number) = owner.parse() {
        return Ok((number, number));
    }
    let numbers =
        owner.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    if let Some(numbers) = numbers {
        return Ok(numbers);
    }
    let user = Accounts::of(snapshot)?.resolve(owner, &[])?;
    Ok((user.uid, user.gid))
}

/// BuildKit's words for a source that the context does not have.
fn missing(path: &str) -> Error {
    not_found(path).context(format!(
        "failed to compute cache key: failed to calculate checksum of ref {}: ",
        &ids::new_id()[..25]
    ))
}

//! The builder: the engine's half of it. What a Dockerfile means is `wharf-build`'s; here its steps are done.
//!
//! - [`Engine::build`]: a Dockerfile becomes images
//! - `worker`: does the steps of a graph: `copy`, `run` (with `mounts` and `agent`), and sources (`archive`, `remote`, `git`)
//! - `kept`: what is remembered of a client's folder
//! - `tree`, `select`, `place`: files of a client, which of them a step means, and putting them into a file system
//! - `base`: the images that stages begin with
//! - `frontend`: which `# syntax=` is understood
//! - `entitlement`: what steps may do only if they were allowed to
//! - `emulation`: for which processors steps can run
//! - `image`, `export`: the image that comes out, and where it goes
//! - `classic`, `session`: the two protocols that clients build with
//! - `cache`: results that builds on other hosts share; `vertex`: work that is no step, as progress shows it
//! - `prune`: the build cache; `failed`: the file system of a step that failed

mod agent;
mod archive;
mod base;
mod cache;
mod cancel;
mod classic;
mod copy;
mod emulation;
mod entitlement;
mod export;
mod failed;
mod failure;
mod frontend;
mod git;
mod image;
mod kept;
mod mounts;
mod pattern;
mod place;
mod prune;
mod remote;
mod run;
mod select;
mod session;
mod tree;
mod vertex;
mod worker;

use std::{
    collections::HashMap,
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use wharf_api::build::CacheEntry;
use wharf_build::{
    dockerfile::Dockerfile,
    graph::{Graph, NodeId},
    plan::{PlanOptions, plan},
    solve::{Claims, solve},
};
use wharf_oci::{Digest, Reference};
use wharf_store::Snapshot;

use self::{
    agent::Agent,
    base::{Bases, Resolver},
    cache::Imports,
    failure::{BuildError, StepError},
    tree::Tree,
    vertex::Vertices,
    worker::{Build, Layers, Value},
};
pub use self::{
    cancel::Cancel,
    classic::ClassicRequest,
    prune::{Budget, PruneOptions},
    run::RunOptions,
};
use crate::{
    Engine, Result,
    image::{BuiltImage, Credentials},
};

/// What builds share.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// Steps that are being done.
    claims: Claims,
    /// Folders of `RUN --mount=type=cache` that somebody has for himself.
    caches: Claims,
    /// The step that failed last.
    failed: Mutex<Option<failed::FailedStep>>,
    /// How many builds are being done.
    running: Arc<AtomicUsize>,
}

/// What is to be built.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildRequest {
    /// What it is asked for.
    pub(crate) options: PlanOptions,
    /// Names of the image.
    pub(crate) names: Vec<Reference>,
    /// What all `RUN` steps have in common.
    pub(crate) run: RunOptions,
    /// Images are pulled even if they are there.
    pub(crate) pull: bool,
    /// Entitlements of its steps.
    pub(crate) allow: Vec<String>,
    /// For registries, by host.
    pub(crate) credentials: HashMap<String, Credentials>,
    /// Caches that results are taken from and given to.
    pub(crate) cache_from: Vec<CacheEntry>,
    pub(crate) cache_to: Vec<CacheEntry>,
    /// Nobody takes what comes out, so that layers of it that are elsewhere need not be fetched.
    pub(crate) nothing_out: bool,
}

/// Who asks for a build: what it has and hears.
trait BuildClient: Sync {
    /// The files of a context, without what its ignore file leaves out.
    ///
    /// # Errors
    /// There is no such context, or it cannot be read.
    fn context(&self, name: &str) -> Result<Tree>;

    /// A secret; `None` if the client does not have it.
    ///
    /// # Errors
    /// The client is gone.
    fn secret(&self, id: &str) -> Result<Option<Vec<u8>>>;

    /// The client's key agent with this name, if it lends one.
    fn agent(&self, id: &str) -> Option<Agent>;

    /// A file of a cache in a folder of the client: `index.json`, or the blob with a digest. `cache` is its place in the
    /// request.
    ///
    /// # Errors
    /// The client has no such folder. That there is no such file shows when it is read.
    fn cache_file(&self, cache: usize, file: &str) -> Result<Box<dyn Read + Send>>;

    /// Takes a cache for a folder of the client, an image layout as a tar.
    ///
    /// # Errors
    /// The client has no such folder.
    fn cache_target(&self, cache: usize) -> Result<Box<dyn Write + '_>>;

    /// Hears how far the build is.
    fn report(&self, report: Report<'_>);

    /// Hears which file system a step ended in, before it hears that it did.
    fn made(&self, _: NodeId, _: &Arc<Layers>) {}
}

/// How far a build is. Steps are numbered from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report<'a> {
    /// A step has begun.
    Started { step: usize, name: &'a str },
    /// Its result was known.
    Cached { step: usize },
    /// It is done.
    Done { step: usize },
    /// It failed.
    Failed { step: usize, error: String },
    /// A part of it is done.
    Status { step: usize, text: &'a str },
    /// It wrote something.
    Output { step: usize, text: &'a [u8] },
}

/// A graph of which everything is done, with what keeps its layers.
pub(crate) struct Solved<'a> {
    build: Build<'a>,
    values: Vec<Value>,
}

impl Engine {
    /// Plans a build: reads the Dockerfile and finds the images it begins with, of which some may still be in registries.
    ///
    /// # Errors
    /// In the words of the reference builder.
    fn plan_build(
        &self,
        dockerfile: &Dockerfile,
        request: &BuildRequest,
        client: &dyn BuildClient,
    ) -> Result<(Graph, Bases), BuildError> {
        let images = Resolver::new(self, request, client);
        let graph = plan(dockerfile, &request.options, &images)?;
        entitlement::check(&graph, request)?;
        let bases = images.bases();
        self.check_processors(&graph, &bases)?;
        Ok((graph, bases))
    }

    /// Does all steps of a graph.
    ///
    /// # Errors
    /// The first step that failed.
    fn solve<'a>(
        self: &'a Arc<Self>,
        (graph, bases): &'a (Graph, Bases),
        request: &'a BuildRequest,
        client: &'a dyn BuildClient,
        cancel: &'a Cancel,
    ) -> Result<Solved<'a>, BuildError> {
        let sources = cache::sources(&request.cache_from)?;
        let vertices = Vertices::new(client);
        let imports = Imports::open(self, request, &sources, client, &vertices);
        self.builder.running.fetch_add(1, Ordering::SeqCst);
        let now = request.options.epoch.unwrap_or_else(|| Timestamp::now().as_second());
        let build = Build {
            engine: self,
            graph,
            client,
            run: &request.run,
            cancel,
            lease: self.store.lease(),
            contexts: Mutex::new(HashMap::new()),
            now,
            imports,
            vertices,
            bases,
        };
        let wanted: Vec<NodeId> = match request.nothing_out {
            true => Vec::new(),
            false => graph.outputs.iter().map(|output| output.root).collect(),
        };
        match solve(graph, &build, &self.builder.claims, &wanted) {
            Ok(values) => Ok(Solved { build, values }),
            Err(failed) => Err(BuildError::step(graph, failed)),
        }
    }
}

impl Solved<'_> {
    /// Stores the images and names them; returns their ids, in the order of the graph's outputs.
    ///
    /// # Errors
    /// The database cannot be written.
    pub(crate) fn images(&self, request: &BuildRequest) -> Result<Vec<Digest>> {
        let put = |(_, config): BuiltImage| self.build.engine.put_built(config.as_bytes(), &request.names);
        self.built(request)?.into_iter().map(put).collect()
    }

    /// The images without storing them. Their layers stay while this lives.
    ///
    /// # Errors
    /// The database cannot be read.
    fn built(&self, request: &BuildRequest) -> Result<Vec<BuiltImage>> {
        let made = |node: NodeId| match &self.values[node.0] {
            Value::Layers(layers) => layers.created,
            Value::Files(_) => None,
        };
        let exports = cache::exports(request)?;
        let outputs = self.build.graph.outputs.iter();
        outputs
            .map(|output| {
                let root = self.values[output.root.0].layers()?;
                if let Some(base) = &output.base {
                    self.build.keep_base(&base.id)?;
                }
                let cache = cache::inline(self, &exports, &root.chains)?;
                self.build.engine.built_image(output, root, &made, request.options.epoch, cache)
            })
            .collect()
    }

    /// Writes the files of the outputs as a tar: of several, each below a folder named for its platform.
    ///
    /// # Errors
    /// They cannot be read, or not be written.
    fn files(&self, out: &mut dyn Write) -> Result<()> {
        let mut parts = Vec::new();
        for output in &self.build.graph.outputs {
            let root = self.values[output.root.0].layers()?;
            let folder = output.platform.to_string().replace('/', "_");
            parts.push((folder, self.build.scratch(&root.chains)?));
        }
        match parts.as_slice() {
            [(_, only)] => Ok(only.snapshot.export(out)?),
            parts => {
                let parts: Vec<_> =
                    parts.iter().map(|(folder, scratch)| (folder.clone(), &scratch.snapshot)).collect();
                Ok(Snapshot::export_all(&parts, out)?)
            }
        }
    }
}

//! `POST /build`: the classic protocol. The context comes as an archive, what happens goes back as lines of JSON, one
//! instruction after the other however the steps were done, each with the image that it came to (`lines`).

mod lines;

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

use wharf_api::progress::{ErrorDetail, Progress};
use wharf_build::{dockerfile::Dockerfile, graph::NodeId, ignore::Matcher, plan::PlanOptions};
use wharf_oci::{Platform, Reference};

use self::lines::Lines;
use super::{
    BuildClient, BuildRequest, Cancel, Layers, Report, RunOptions,
    agent::Agent,
    archive,
    failure::{BuildError, StepError},
    tree::{Kind, Tree},
};
use crate::{Engine, Error, Result, image::Credentials};

/// The parameters of `POST /build`.
#[derive(Debug, Clone, Default)]
pub struct ClassicRequest {
    /// Path of the Dockerfile in the context; `Dockerfile` if empty.
    pub dockerfile: String,
    /// Address of the context, in the place of the body.
    pub remote: String,
    /// Names of the image.
    pub names: Vec<Reference>,
    /// Only the id is wanted.
    pub quiet: bool,
    /// What a step ran in is told to be removed. It is in any case: nothing of it is a container.
    pub remove: bool,
    /// The same of one that failed.
    pub force_remove: bool,
    /// Nothing comes from the cache.
    pub no_cache: bool,
    /// Images are pulled even if they are there.
    pub pull: bool,
    /// Build arguments; those without a value come from nowhere and are left out.
    pub build_args: BTreeMap<String, Option<String>>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Stage to build.
    pub target: String,
    /// Platform to build for.
    pub platform: Option<Platform>,
    /// What all `RUN` steps have in common.
    pub run: RunOptions,
    /// For registries, by host.
    pub credentials: HashMap<String, Credentials>,
}

impl Engine {
    /// Builds an image from an archive, and reports it as the classic builder does.
    ///
    /// # Errors
    /// 400 for a context or Dockerfile that cannot be read. What fails later is told in the stream.
    pub fn build_classic(
        self: &Arc<Self>,
        request: &ClassicRequest,
        body: &mut (dyn Read + Send),
        cancel: &Cancel,
        report: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<()> {
        let tree = match request.remote.as_str() {
            "" => archive::tree(self, body)?,
            url => self.remote_context(url, &request.dockerfile, None, cancel)?,
        };
        let name = if request.dockerfile.is_empty() { "Dockerfile" } else { &request.dockerfile };
        let text = read_text(&tree, name)?;
        if text.trim().is_empty() {
            return Err(Error::invalid(format!("the Dockerfile ({name}) cannot be empty")));
        }
        let dockerfile = Dockerfile::parse(&text).map_err(|error| Error::invalid(error.message))?;
        let tree = without_ignored(tree)?;
        let remove = (request.remove, request.force_remove);
        let request = build_request(request);
        let client =
            Client { tree: Mutex::new(Some(tree)), lines: Mutex::new(Lines::new(self, report, remove)) };
        match self.run_classic(&dockerfile, &request.0, &client, cancel, request.1) {
            Ok(()) => {}
            Err(error) => client.failed(&error),
        }
        Ok(())
    }

    fn run_classic(
        self: &Arc<Self>,
        dockerfile: &Dockerfile,
        request: &BuildRequest,
        client: &Client<'_>,
        cancel: &Cancel,
        quiet: bool,
    ) -> Result<(), BuildError> {
        let planned = self.plan_build(dockerfile, request, client)?;
        let graph = &planned.0;
        if !quiet {
            client.lock().prepare(dockerfile, graph, &request.options.labels);
        }
        let solved = self.solve(&planned, request, client, cancel)?;
        let images = solved.images(request)?;
        client.lock().finish(images.first());
        for id in &images {
            let text = match quiet {
                true => format!("{id}\n"),
                false => {
                    client
                        .say(Progress { aux: Some(serde_json::json!({ "ID": id })), ..Progress::default() });
                    format!("Successfully built {}\n", id.short())
                }
            };
            client.say(Progress::stream(text));
        }
        if !quiet {
            for name in &request.names {
                client.say(Progress::stream(format!("Successfully tagged {}\n", name.familiar())));
            }
        }
        Ok(())
    }
}

/// The request as the solver takes it, and whether only the id is wanted.
fn build_request(request: &ClassicRequest) -> (BuildRequest, bool) {
    let given = |(name, value): (&String, &Option<String>)| Some((name.clone(), value.clone()?));
    let options = PlanOptions {
        target: Some(request.target.clone()).filter(|target| !target.is_empty()),
        build_args: request.build_args.iter().filter_map(given).collect(),
        labels: request.labels.clone(),
        platforms: request.platform.clone().into_iter().collect(),
        no_cache: request.no_cache,
        milestones: !request.quiet,
        ..PlanOptions::default()
    };
    let build = BuildRequest {
        options,
        names: request.names.clone(),
        run: request.run.clone(),
        pull: request.pull,
        credentials: request.credentials.clone(),
        ..BuildRequest::default()
    };
    (build, request.quiet)
}

pub(super) fn read_text(tree: &Tree, name: &str) -> Result<String> {
    let missing = || Error::invalid(format!("Cannot locate specified Dockerfile: {name}"));
    let real = tree.find(name).filter(|real| tree.get(real).is_some_and(|entry| entry.kind == Kind::File));
    let real = real.ok_or_else(missing)?;
    let mut text = String::new();
    let file = tree.open(&real)?;
    let limit = wharf_build::dockerfile::LONGEST_TEXT as u64;
    file.take(limit + 1).read_to_string(&mut text).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(text)
}

/// Leaves out what the context's own `.dockerignore` names.
pub(super) fn without_ignored(mut tree: Tree) -> Result<Tree> {
    if tree.get(".dockerignore").is_none() {
        return Ok(tree);
    }
    let ignore = Matcher::parse(&read_text(&tree, ".dockerignore")?).map_err(Error::invalid)?;
    tree.entries.retain(|path, _| !ignore.excluded(path));
    Ok(tree)
}

/// The classic builder's client.
struct Client<'a> {
    tree: Mutex<Option<Tree>>,
    lines: Mutex<Lines<'a>>,
}

impl<'a> Client<'a> {
    fn failed(&self, error: &BuildError) {
        let keyword = self.lock().fail();
        let (message, code) = match &error.cause {
            Some(StepError::Exit { args, code }) => {
                (format!("The command '{}' returned a non-zero code: {code}", args.join(" ")), *code)
            }
            _ => match missing_source(&error.message) {
                Some(path) => (
                    format!(
                        "{keyword} failed: file not found in build context or excluded by .dockerignore: stat {path}: \
                         file does not exist"
                    ),
                    0,
                ),
                None => (error.message.clone(), 0),
            },
        };
        let detail = ErrorDetail { code: code.into(), message: message.clone() };
        self.say(Progress { error_detail: Some(detail), error: message, ..Progress::default() });
    }

    fn say(&self, line: Progress) {
        (self.lock().report)(line);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines<'a>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The source that a copy did not find, from the words of the other builder.
fn missing_source(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("failed to compute cache key: ")?;
    let (_, path) = rest.strip_suffix("\": not found")?.split_once("\"/")?;
    Some(path)
}

impl BuildClient for Client<'_> {
    fn context(&self, name: &str) -> Result<Tree> {
        let tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner).take();
        tree.filter(|_| name.is_empty())
            .ok_or_else(|| Error::invalid(format!("there is no context {name:?}")))
    }

    fn secret(&self, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn agent(&self, _: &str) -> Option<Agent> {
        None
    }

    fn cache_file(&self, _: usize, _: &str) -> Result<Box<dyn Read + Send>> {
        Err(Error::invalid("there is no folder of a cache"))
    }

    fn cache_target(&self, _: usize) -> Result<Box<dyn std::io::Write + '_>> {
        Err(Error::invalid("there is no folder of a cache"))
    }

    fn report(&self, report: Report<'_>) {
        self.lock().hear(report);
    }

    fn made(&self, step: NodeId, layers: &Arc<Layers>) {
        self.lock().made(step, layers);
    }
}

//! One build, from the request to its response.

mod question;
mod run;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tonic::{Request, Status};
use wharf_api::build::{Failure, Outcome};
use wharf_build::dockerfile::Dockerfile;
use wharf_build::ignore;
use wharf_build::plan::{PlanOptions, outline};

use super::answers::Folder;
use super::connection::{Build, Connection};
use super::failure::Source;
use super::options::{self, Local, Options};
use super::progress::Vertices;
use super::proto::control::{SolveRequest, SolveResponse};
use super::proto::gateway;
use super::session::Session;
use super::source::read_texts;
use super::{agents, auth, failure};

pub(super) use self::question::answer;

/// The frontend that there is.
const FRONTEND: &str = "dockerfile.v0";

/// Vertices of this front; the engine's have other numbers.
const LOAD_DOCKERFILE: u32 = u32::MAX;
const LOAD_IGNORE: u32 = u32::MAX - 1;
const EXPORT: u32 = u32::MAX - 2;

/// Refuses what is no Dockerfile.
///
/// # Errors
/// Names it.
pub(super) fn check(asked: &gateway::SolveRequest) -> Result<(), Status> {
    if asked.definition.as_ref().is_some_and(|definition| !definition.def.is_empty()) {
        return Err(Status::unimplemented(
            "builds of other clients than Dockerfiles (LLB) are not supported",
        ));
    }
    if asked.frontend != FRONTEND {
        return Err(Status::unimplemented(format!(
            "frontend {}: only Dockerfiles are supported",
            asked.frontend
        )));
    }
    if !asked.frontend_inputs.is_empty() {
        return Err(Status::unimplemented("results of other builds as inputs are not supported"));
    }
    Ok(())
}

/// `Control.Solve`: builds, and answers when it is done. A client that gives the call up cancels the build.
pub(super) async fn solve(
    connection: Arc<Connection>,
    request: Request<SolveRequest>,
) -> Result<SolveResponse, Status> {
    let request = request.into_inner();
    let build = connection.build(&request.r#ref)?;
    // Whoever follows it hears the end, however it comes.
    let _ended = Ended(build.clone());
    let asked = match request.frontend.is_empty() && request.definition.is_none() {
        true => {
            build.gateway.serve(&request);
            build.gateway.returned().await?
        }
        false => Some(direct(&request)),
    };
    let Some(asked) = asked else { return Ok(SolveResponse::default()) };
    check(&asked)?;
    let options = options::read(&request, &asked)?;
    let mut solve = Solve::new(connection, build, &request, options).await?;
    let outcome = solve.run().await;
    outcome.inspect_err(|status| {
        let left = solve.vertices.abandon(status.message(), Timestamp::now());
        solve.build.progress.tell(left);
    })
}

/// A request without a gateway.
fn direct(request: &SolveRequest) -> gateway::SolveRequest {
    gateway::SolveRequest {
        definition: request.definition.clone(),
        frontend: request.frontend.clone(),
        frontend_opt: request.frontend_attrs.clone(),
        cache_imports: Vec::new(),
        frontend_inputs: request.frontend_inputs.clone(),
    }
}

/// Ends the news of a build.
struct Ended(Arc<Build>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.progress.end();
    }
}

/// A build at work.
struct Solve {
    connection: Arc<Connection>,
    build: Arc<Build>,
    session: Arc<Session>,
    vertices: Vertices,
    /// The Dockerfile.
    source: Source,
    options: Options,
}

impl Solve {
    async fn new(
        connection: Arc<Connection>,
        build: Arc<Build>,
        request: &SolveRequest,
        options: Options,
    ) -> Result<Self, Status> {
        let session = connection.sessions.get(&request.session).await?;
        let vertices = Vertices::new(&request.r#ref);
        Ok(Self { connection, build, session, vertices, source: Source::default(), options })
    }

    async fn run(&mut self) -> Result<SolveResponse, Status> {
        let folders = self.load().await?;
        let outcome = self.build(folders).await?;
        Ok(self.response(&outcome))
    }

    /// Gets everything from the client that the engine has to know before it begins.
    async fn load(&mut self) -> Result<HashMap<String, Folder>, Status> {
        if let Some(place) = self.options.dockerfile.clone() {
            self.load_dockerfile(&place).await?;
        } else {
            self.options.request.file.clone_from(&self.options.file);
        }
        self.options.request.archive = self.options.upload.is_some();
        let folders = self.folders().await?;
        let request = &mut self.options.request;
        request.auth = auth::credentials(&self.session, request).await;
        let wanted = agents_wanted(&self.source.text, request);
        request.ssh = agents::lent(&self.session, wanted).await;
        Ok(folders)
    }

    /// Gets the Dockerfile, and the ignore file that goes with it.
    async fn load_dockerfile(&mut self, place: &Local) -> Result<(), Status> {
        let name = self.options.file.clone();
        self.begin(LOAD_DOCKERFILE, format!("[internal] load build definition from {name}"));
        let session = self.session_of(place).await?;
        let beside = format!("{name}.dockerignore");
        let wanted = [name.clone(), beside.clone()];
        let (mut texts, received) =
            read_texts(&session, &place.name, &wanted).await.map_err(|status| self.explain(&status))?;
        let Some(text) = texts.remove(&name) else {
            let message = format!("failed to read dockerfile: open {name}: no such file or directory");
            return Err(self.failed(&Failure { message, ..Failure::default() }));
        };
        self.loaded(LOAD_DOCKERFILE, "transferring dockerfile:", received);
        self.source = Source { name, text };
        self.options.request.dockerfile.clone_from(&self.source.text);
        self.options.request.ignore = texts.remove(&beside);
        Ok(())
    }

    /// The client's folders, with what their ignore files leave out.
    async fn folders(&mut self) -> Result<HashMap<String, Folder>, Status> {
        const NAME: &str = ".dockerignore";
        let mut folders = HashMap::new();
        for (context, place) in self.options.folders.clone() {
            let session = self.session_of(&place).await?;
            let beside = self.options.request.ignore.clone().filter(|_| context.is_empty());
            let text = match beside {
                Some(text) => Some(text),
                None => {
                    if context.is_empty() {
                        self.begin(LOAD_IGNORE, format!("[internal] load {NAME}"));
                    }
                    let wanted = [NAME.to_owned()];
                    let (mut texts, received) = read_texts(&session, &place.name, &wanted)
                        .await
                        .map_err(|status| self.explain(&status))?;
                    if context.is_empty() {
                        self.loaded(LOAD_IGNORE, "transferring context:", received);
                    }
                    texts.remove(NAME)
                }
            };
            let patterns = ignore::patterns(text.as_deref().unwrap_or_default());
            let exclude = patterns.map(str::to_owned).collect();
            // The engine knows the folder's files again by this.
            let identity = format!("buildkit:{}:{}", session.shared_key, place.name);
            self.options.request.folders.insert(context.clone(), identity);
            if context.is_empty() {
                self.options.request.ignore = text;
            }
            folders.insert(context, Folder { session, name: place.name, exclude });
        }
        Ok(folders)
    }

    async fn session_of(&self, place: &Local) -> Result<Arc<Session>, Status> {
        match &place.session {
            Some(id) => self.connection.sessions.get(id).await,
            None => Ok(self.session.clone()),
        }
    }

    fn begin(&mut self, vertex: u32, name: String) {
        let news = self.vertices.started(vertex, name, Timestamp::now());
        self.build.progress.tell(news);
    }

    /// A vertex has got its files.
    fn loaded(&mut self, vertex: u32, what: &str, received: u64) {
        let now = Timestamp::now();
        self.build.progress.tell(self.vertices.transferred(vertex, what, received, now));
        self.end(vertex);
    }

    fn end(&mut self, vertex: u32) {
        let event = wharf_api::build::Event::Done { step: vertex };
        let news = self.vertices.event(event, Timestamp::now());
        self.build.progress.tell(news);
    }

    /// What the client's own error means for the build.
    fn explain(&self, status: &Status) -> Status {
        self.failed(&Failure { message: status.message().to_owned(), ..Failure::default() })
    }

    fn failed(&self, failure: &Failure) -> Status {
        failure::build(failure, failure.step.map(|step| self.vertices.digest(step)), &self.source)
    }

    /// What the client's exporters get to hear.
    fn response(&self, outcome: &Outcome) -> SolveResponse {
        let mut response = HashMap::new();
        let mut add = |name: &str, value: &str| response.insert(name.to_owned(), value.to_owned());
        let request = &self.options.request;
        let is_image = |export: &wharf_api::build::Export| !matches!(export, wharf_api::build::Export::Files);
        if request.exports.iter().any(is_image)
            && let Some(image) = outcome.images.first()
        {
            add("containerimage.config.digest", image);
            add("containerimage.digest", outcome.index.as_deref().unwrap_or(image));
            if !request.names.is_empty() {
                add("image.name", &canonical(&request.names).join(","));
            }
        }
        SolveResponse { exporter_response: response }
    }
}

/// Names as progress shows them: whole, but without a tag that was not given.
fn canonical(names: &[String]) -> Vec<String> {
    let whole = |name: &String| {
        wharf_oci::Reference::parse(name).map_or_else(|_| name.clone(), |reference| reference.to_string())
    };
    names.iter().map(whole).collect()
}

/// The key agents that a build may ask for.
fn agents_wanted(dockerfile: &str, request: &wharf_api::build::Request) -> Vec<String> {
    let options = PlanOptions {
        target: request.target.clone(),
        build_args: request.build_args.clone(),
        ..PlanOptions::default()
    };
    let outline = Dockerfile::parse(dockerfile).ok().and_then(|file| outline(&file, &options).ok());
    let mut names: Vec<_> = outline.into_iter().flat_map(|outline| outline.ssh).map(|ssh| ssh.name).collect();
    // Repositories may want the first one.
    names.push("default".to_owned());
    names.sort();
    names.dedup();
    names
}

//! `wharf build`: a stream of frames to a client that holds the files. See [`wharf_api::build`].

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufReader, Read, Write as _},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use wharf_api::build::{
    Ask, Entry, Event, Export, Failure, Frame, HEAD, LONGEST, Outcome, Request, Warning, What,
};
use wharf_api::container::Resources;
use wharf_build::{
    dockerfile::Dockerfile,
    plan::{NamedContext, PlanOptions},
};
use wharf_oci::{Platform, Reference};

use super::{
    BuildClient, BuildRequest, Cancel, Report, RunOptions,
    agent::Agent,
    archive, cache,
    classic::{read_text, without_ignored},
    export::Exporter,
    failure::BuildError,
    frontend,
    kept::Kept,
    tree::Tree,
};
use crate::{Engine, Error, Result, image::Credentials};

/// Pieces of an answer that are read ahead.
const AHEAD: usize = 8;

/// The longest message of a key agent, in bytes.
const LONGEST_MESSAGE: u64 = 256 << 10;

impl Engine {
    /// Serves a client of `wharf build` to its end.
    pub fn serve_build(self: &Arc<Self>, stream: UnixStream) {
        if let Err(error) = self.try_serve_build(stream) {
            tracing::debug!(%error, "a client of a build is gone");
        }
    }

    fn try_serve_build(self: &Arc<Self>, stream: UnixStream) -> io::Result<()> {
        let mut input = BufReader::with_capacity(64 << 10, stream.try_clone()?);
        let first = read_frame(&mut input)?.filter(|frame| frame.kind == Frame::REQUEST);
        let Some(first) = first else { return Err(io::ErrorKind::InvalidData.into()) };
        let cancel = Cancel::default();
        let session = Arc::new(Session {
            output: Mutex::new(stream),
            answers: Mutex::default(),
            next: AtomicU32::new(0),
        });
        let (reading, watched) = (session.clone(), cancel.clone());
        thread::Builder::new().name("build-client".to_owned()).spawn(move || {
            reading.read_answers(&mut input);
            watched.cancel();
        })?;
        let request = serde_json::from_slice::<Request>(&first.payload)?;
        let mut outcome = Outcome::default();
        if let Err(error) = self.build_session(&request, &session, &cancel, &mut outcome) {
            outcome.error = Some(Failure {
                message: error.message,
                lines: error.lines.map(|lines| (*lines.start(), *lines.end())),
                step: error.step.and_then(|node| u32::try_from(node.0).ok()),
            });
        }
        session.send(&Frame::document(Frame::DONE, &outcome))?;
        session.output().shutdown(std::net::Shutdown::Write)
    }

    fn build_session(
        self: &Arc<Self>,
        request: &Request,
        session: &Arc<Session>,
        cancel: &Cancel,
        outcome: &mut Outcome,
    ) -> Result<(), BuildError> {
        let folders = request.folders.iter();
        let kept = folders.map(|(name, identity)| (name.clone(), Kept::open(&self.paths, identity)));
        let client = Client {
            engine: self,
            session: session.clone(),
            kept: kept.collect(),
            remote: Mutex::default(),
            agents: &request.ssh,
        };
        let fetched = match request.remote.as_str() {
            "" if request.archive => Some(archive::tree(self, &mut session.ask(What::Archive)?)?),
            "" => None,
            url => Some(self.remote_context(url, &request.file, Some(&client), cancel)?),
        };
        let text = match &fetched {
            Some(tree) if !request.file.is_empty() => read_text(tree, &request.file)?,
            _ => request.dockerfile.clone(),
        };
        if let Some(tree) = fetched {
            client.has_context(without_ignored(tree)?);
        }
        let dockerfile = Dockerfile::parse(&text)?;
        let build = build_request(request)?;
        frontend::check(&dockerfile, &build.options)?;
        let caches = cache::exports(&build)?;
        let planned = self.plan_build(&dockerfile, &build, &client)?;
        let graph = &planned.0;
        outcome.warnings = graph.warnings.iter().map(warning).collect();
        if request.exports.contains(&Export::Check) {
            return Ok(());
        }
        let solved = self.solve(&planned, &build, &client, cancel)?;
        solved.export(request, &build, session, outcome)?;
        solved.export_caches(&build, &caches)?;
        client.kept.values().for_each(Kept::settle);
        Ok(())
    }
}

fn warning(warning: &wharf_build::Warning) -> Warning {
    Warning {
        check: warning.check.clone(),
        message: warning.message.clone(),
        description: warning.description.clone(),
        lines: (*warning.lines.start(), *warning.lines.end()),
    }
}

fn build_request(request: &Request) -> Result<BuildRequest> {
    let invalid = |error: &dyn std::fmt::Display| Error::invalid(error.to_string());
    let platform = |text: &String| Platform::parse(text).map_err(|error| invalid(&error));
    let name = |text: &String| {
        Reference::parse(text)
            .map(Reference::with_default_tag)
            .map_err(|error| Error::invalid(format!("invalid tag {text:?}: {error}")))
    };
    let named = |(name, value): (&String, &String)| {
        let context = match value.strip_prefix("docker-image://") {
            Some(image) => NamedContext::Image(image.to_owned()),
            None => NamedContext::Remote(value.clone()),
        };
        (name.clone(), context)
    };
    let folders = request.folders.keys().filter(|name| !name.is_empty());
    let mut contexts: BTreeMap<_, _> = folders.map(|name| (name.clone(), NamedContext::Files)).collect();
    contexts.extend(request.contexts.iter().map(named));
    let credentials = |(host, auth): (&String, &wharf_api::auth::AuthConfig)| {
        let credentials = Credentials {
            username: auth.username.clone(),
            password: auth.password.clone(),
            identity_token: auth.identitytoken.clone(),
            registry_token: auth.registrytoken.clone(),
        };
        (host.clone(), credentials)
    };
    Ok(BuildRequest {
        options: PlanOptions {
            target: request.target.clone(),
            build_args: request.build_args.clone(),
            labels: request.labels.clone(),
            platforms: request.platforms.iter().map(platform).collect::<Result<_>>()?,
            contexts,
            no_cache: request.no_cache,
            no_cache_filter: request.no_cache_filter.clone(),
            network: request.network.clone(),
            ignore: request.ignore.clone(),
            epoch: request.epoch,
            newest: request.newest,
            milestones: false,
        },
        names: request.names.iter().map(name).collect::<Result<_>>()?,
        run: RunOptions {
            network: request.network.clone(),
            extra_hosts: request.add_hosts.clone(),
            shm_size: request.shm_size,
            ulimits: request.ulimits.clone(),
            cgroup_parent: request.cgroup_parent.clone(),
            resources: Resources::default(),
        },
        pull: request.pull,
        allow: request.allow.clone(),
        credentials: request.auth.iter().map(credentials).collect(),
        cache_from: request.cache_from.clone(),
        cache_to: request.cache_to.clone(),
        nothing_out: request.exports.iter().all(|export| *export == Export::Nothing),
    })
}

/// The connection to a client.
pub(super) struct Session {
    output: Mutex<UnixStream>,
    /// Where the parts of answers go, by the number of the question.
    answers: Mutex<HashMap<u32, SyncSender<Part>>>,
    next: AtomicU32,
}

/// A part of an answer.
enum Part {
    Data(Vec<u8>),
    Failed(String),
}

impl Session {
    /// Asks the client and returns the answer as it comes.
    pub(super) fn ask(&self, what: What) -> Result<Answer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, parts) = sync_channel(AHEAD);
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let asked = self.send(&Frame::document(Frame::ASK, &Ask { id, what }));
        asked.map_err(|error| Error::system(format!("the client is gone: {error}")))?;
        Ok(Answer { parts, current: Vec::new(), at: 0, failed: None })
    }

    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.output().write_all(frame)
    }

    fn output(&self) -> MutexGuard<'_, UnixStream> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands answers to whoever asked, until the client is gone.
    fn read_answers(&self, input: &mut impl Read) {
        while let Ok(Some(frame)) = read_frame(input) {
            let Some((id, rest)) = frame.number() else { break };
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let sender = match frame.kind {
                Frame::DATA => answers.get(&id).cloned(),
                _ => answers.remove(&id),
            };
            drop(answers);
            let part = match frame.kind {
                Frame::DATA => Part::Data(rest.to_vec()),
                Frame::FAILED => Part::Failed(String::from_utf8_lossy(rest).into_owned()),
                // The end is when nobody can send any more.
                _ => continue,
            };
            if let Some(sender) = sender {
                // Who asked may have lost interest.
                let _ = sender.send(part);
            }
        }
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The answer to a question, as a reader.
pub(super) struct Answer {
    parts: Receiver<Part>,
    current: Vec<u8>,
    at: usize,
    failed: Option<String>,
}

impl Answer {
    /// The whole answer, of at most `limit` bytes; `None` if the client does not have it.
    pub(super) fn whole(mut self, limit: u64) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let read = (&mut self).take(limit + 1).read_to_end(&mut bytes);
        if self.failed.is_some() {
            return Ok(None);
        }
        read.map_err(|error| Error::system(error.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(Error::invalid(format!("the answer exceeds the limit of {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Why the client does not have it.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.failed.as_deref()
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            match self.parts.recv() {
                Ok(Part::Data(data)) => (self.current, self.at) = (data, 0),
                Ok(Part::Failed(reason)) => {
                    self.failed = Some(reason.clone());
                    return Err(io::Error::other(reason));
                }
                Err(_) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len() - self.at);
        buffer[..length].copy_from_slice(&self.current[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// The client as the builder sees it.
struct Client<'a> {
    engine: &'a Engine,
    session: Arc<Session>,
    kept: HashMap<String, Kept>,
    /// The build context, if it was fetched.
    remote: Mutex<Option<Tree>>,
    /// Names of the key agents that the client lends.
    agents: &'a [String],
}

impl Client<'_> {
    /// The build context was fetched.
    fn has_context(&self, tree: Tree) {
        *self.remote.lock().unwrap_or_else(PoisonError::into_inner) = Some(tree);
    }
}

impl BuildClient for Client<'_> {
    fn context(&self, name: &str) -> Result<Tree> {
        let remote = || self.remote.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(tree) = name.is_empty().then(remote).flatten() {
            return Ok(tree);
        }
        let Some(kept) = self.kept.get(name) else {
            return Err(Error::invalid(format!("there is no context {name:?}")));
        };
        let answer = self.session.ask(What::List { context: name.to_owned() })?;
        let mut entries = Vec::new();
        let lines = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, answer));
        for entry in lines.into_iter::<Entry>() {
            entries.push(entry.map_err(|error| Error::system(format!("reading the context: {error}")))?);
        }
        let limit = self.engine.store.limits().tar_bytes;
        kept.tree(name, entries, self.session.clone(), limit)
    }

    fn secret(&self, id: &str) -> Result<Option<Vec<u8>>> {
        // As much as the reference takes.
        self.session.ask(What::Secret { name: id.to_owned() })?.whole(500 << 10)
    }

    fn agent(&self, id: &str) -> Option<Agent> {
        let id = self.agents.iter().find(|known| *known == id)?.clone();
        let session = self.session.clone();
        Some(Arc::new(move |connection, message| {
            let asked = What::Agent { name: id.clone(), connection, message: message.to_vec() };
            let answer = session.ask(asked)?.whole(LONGEST_MESSAGE)?;
            answer.ok_or_else(|| Error::system("the client's key agent does not answer"))
        }))
    }

    fn cache_file(&self, cache: usize, file: &str) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.session.ask(What::Cache { cache, file: file.to_owned() })?))
    }

    fn cache_target(&self, cache: usize) -> Result<Box<dyn io::Write + '_>> {
        Ok(Box::new(Exporter::to_cache(&self.session, cache)))
    }

    fn report(&self, report: Report<'_>) {
        let number = |step: usize| u32::try_from(step).unwrap_or(u32::MAX);
        let event = match report {
            Report::Output { step, text } => {
                for piece in text.chunks(LONGEST / 2) {
                    let _ = self.session.send(&Frame::numbered(Frame::OUTPUT, number(step), piece));
                }
                return;
            }
            Report::Started { step, name } => Event::Started { step: number(step), name: name.to_owned() },
            Report::Cached { step } => Event::Cached { step: number(step) },
            Report::Done { step } => Event::Done { step: number(step) },
            Report::Status { step, text } => Event::Status { step: number(step), text: text.to_owned() },
            Report::Failed { step, error } => Event::Failed { step: number(step), error },
        };
        // A client that is gone cancels the build by itself.
        let _ = self.session.send(&Frame::document(Frame::EVENT, &event));
    }
}

/// The next frame; `None` at the end of the stream.
fn read_frame(input: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD];
    match input.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let (kind, length) = Frame::parse_head(head).ok_or(io::ErrorKind::InvalidData)?;
    let mut payload = vec![0; length];
    input.read_exact(&mut payload)?;
    Ok(Some(Frame { kind, payload }))
}

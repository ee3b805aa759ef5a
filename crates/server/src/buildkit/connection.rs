//! A client's connection: the builds that it asked for, which end with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;
use wharf_engine::Engine;

use super::gateway::Gateway;
use super::progress::Progress;
use super::session::Sessions;

/// The most builds of one client that are under way.
const MOST: usize = 1024;

/// What a client's calls have in common.
pub(super) struct Connection {
    pub(super) engine: Arc<Engine>,
    pub(super) sessions: Arc<Sessions>,
    builds: Mutex<HashMap<String, Arc<Build>>>,
}

/// A build, which calls name by its reference.
#[derive(Default)]
pub(super) struct Build {
    /// How far it is.
    pub(super) progress: Progress,
    /// What the client's gateway asks for.
    pub(super) gateway: Gateway,
}

impl Connection {
    pub(super) fn new(engine: Arc<Engine>, sessions: Arc<Sessions>) -> Self {
        Self { engine, sessions, builds: Mutex::default() }
    }

    /// The build with a reference. The client's calls about one come in no certain order, so whichever is first makes it.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn build(&self, reference: &str) -> Result<Arc<Build>, Status> {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        if builds.len() >= MOST && !builds.contains_key(reference) {
            // Those that are over and that nobody follows.
            builds.retain(|_, build| Arc::strong_count(build) > 1);
            if builds.len() >= MOST {
                return Err(Status::resource_exhausted("too many builds on one connection"));
            }
        }
        Ok(builds.entry(reference.to_owned()).or_default().clone())
    }
}

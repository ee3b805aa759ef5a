//! `wait`: until a container ends or is gone.

use std::sync::Arc;

use tokio::sync::watch;

use super::Container;
use crate::{Engine, Error, Result};

/// What a waiter waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// The container is not running; true at once for one that never ran.
    #[default]
    NotRunning,
    /// The end of the present or next run.
    NextExit,
    /// The container was removed.
    Removed,
}

impl WaitCondition {
    /// Parses the API's `condition` parameter; empty means `not-running`.
    ///
    /// # Errors
    /// Any other word, in Docker's words.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            other => Err(Error::invalid(format!("invalid condition: {other:?}"))),
        }
    }
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of the run.
    pub code: i32,
    /// What kept the wait from its end; empty if nothing did.
    pub error: String,
}

/// A wait that has been registered: nothing that happens after it was made is missed.
#[derive(Debug)]
pub struct Wait {
    record: watch::Receiver<Arc<Container>>,
    exits: u64,
    condition: WaitCondition,
}

impl Engine {
    /// Registers a wait on a container; the state at this moment is what "next" refers to.
    ///
    /// # Errors
    /// No such container.
    pub fn wait_container(&self, name: &str, condition: WaitCondition) -> Result<Wait> {
        let record = self.containers.find(name)?.watch();
        let exits = record.borrow().state.exits;
        Ok(Wait { record, exits, condition })
    }
}

impl Wait {
    /// Resolves when the condition holds.
    pub async fn done(mut self) -> Exit {
        let (condition, exits) = (self.condition, self.exits);
        let met = |container: &Arc<Container>| {
            let state = &container.state;
            match condition {
                WaitCondition::NotRunning => !state.status.is_running() || state.removed,
                WaitCondition::NextExit => state.exits > exits || state.removed,
                WaitCondition::Removed => state.removed,
            }
        };
        match self.record.wait_for(met).await {
            Ok(container) => Exit { code: container.state.exit_code, error: String::new() },
            // The entry is only dropped after its removal was published, or when the daemon ends.
            Err(_) => Exit { code: 137, error: "the engine is shutting down".to_owned() },
        }
    }
}

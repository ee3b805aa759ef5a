//! Why builds fail, in the words of the reference builder.

use std::fmt;

use wharf_build::{
    dockerfile::ParseError,
    graph::{Graph, NodeId},
    plan::PlanError,
    solve::Failed,
};

use crate::Error;

/// Why a step failed.
#[derive(Debug)]
pub(crate) enum StepError {
    /// Its process did.
    Exit {
        /// Program and arguments.
        args: Vec<String>,
        /// Exit code.
        code: i32,
    },
    /// The build was cancelled.
    Cancelled,
    /// Anything else.
    Other(Error),
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { args, code } => {
                write!(f, "process \"{}\" did not complete successfully: exit code: {code}", args.join(" "))
            }
            Self::Cancelled => f.write_str("context canceled"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<wharf_store::Error> for StepError {
    fn from(error: wharf_store::Error) -> Self {
        Self::Other(error.into())
    }
}

/// Why a build failed.
#[derive(Debug)]
pub(crate) struct BuildError {
    /// The message.
    pub(crate) message: String,
    /// Lines of the Dockerfile it is about.
    pub(crate) lines: Option<std::ops::RangeInclusive<usize>>,
    /// The step that failed, if it came so far.
    pub(crate) step: Option<NodeId>,
    /// Why the step failed.
    pub(crate) cause: Option<StepError>,
}

impl BuildError {
    pub(super) fn step(graph: &Graph, failed: Failed<StepError>) -> Self {
        Self {
            message: failed.error.to_string(),
            lines: graph.nodes[failed.node.0].lines.clone(),
            step: Some(failed.node),
            cause: Some(failed.error),
        }
    }

    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: None, step: None, cause: None }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ParseError> for BuildError {
    fn from(error: ParseError) -> Self {
        Self { lines: error.lines, ..Self::new(error.message) }
    }
}

impl From<PlanError> for BuildError {
    fn from(error: PlanError) -> Self {
        Self { lines: error.lines.clone(), ..Self::new(error.to_string()) }
    }
}

impl From<Error> for BuildError {
    fn from(error: Error) -> Self {
        Self::new(error.to_string())
    }
}

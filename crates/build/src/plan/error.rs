use std::ops::RangeInclusive;

use crate::dockerfile::ParseError;

/// Why there is no plan, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PlanError {
    /// The message, complete.
    pub message: String,
    /// Lines of the Dockerfile it is about, from 1.
    pub lines: Option<RangeInclusive<usize>>,
}

impl PlanError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: None }
    }

    /// At these lines, unless it is known to be at others.
    pub(crate) fn at(mut self, lines: &RangeInclusive<usize>) -> Self {
        self.lines.get_or_insert_with(|| lines.clone());
        self
    }
}

impl From<ParseError> for PlanError {
    fn from(error: ParseError) -> Self {
        Self { message: error.message, lines: error.lines }
    }
}

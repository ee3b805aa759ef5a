use std::ops::RangeInclusive;

/// What is wrong with the text of a Dockerfile, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// The message, complete.
    pub message: String,
    /// Lines it is about, from 1.
    pub lines: Option<RangeInclusive<usize>>,
}

impl ParseError {
    pub(crate) fn at(message: impl Into<String>, lines: RangeInclusive<usize>) -> Self {
        Self { message: message.into(), lines: Some(lines) }
    }

    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), lines: None }
    }
}

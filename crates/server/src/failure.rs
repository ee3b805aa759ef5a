//! Failed calls: the one place where an error becomes a status and `{"message": …}`.

use std::error::Error as StdError;
use std::fmt;

use http::StatusCode;
use wharf_api::filter::FilterError;
use wharf_api::{ErrorKind, ErrorResponse};

use crate::call::Response;
use crate::reply;

/// A failed call. `Display` is the message that the client gets.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure of `kind` with the client's message.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), source: None }
    }

    /// 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParameter, message)
    }

    /// 500.
    pub(crate) fn system(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::System, message)
    }

    /// 501.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }

    /// The error document. A 304 has no body.
    pub(crate) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.kind == ErrorKind::NotModified {
            return reply::empty(status);
        }
        reply::json_with(status, &ErrorResponse { message: self.message })
    }

    /// Logs the failure with its causes: loud for our own faults, quiet for the client's.
    pub(crate) fn log(&self, method: &http::Method, path: &str) {
        let mut causes = String::new();
        let mut cause = self.source.as_deref().and_then(|source| source.source());
        while let Some(error) = cause {
            // Errors that only pass on the words of their cause add nothing.
            let text = error.to_string();
            if !self.message.contains(&text) && !causes.contains(&text) {
                causes.push_str(": ");
                causes.push_str(&text);
            }
            cause = error.source();
        }
        match self.kind {
            ErrorKind::System => tracing::error!(%method, path, "{}{causes}", self.message),
            _ => tracing::debug!(%method, path, kind = ?self.kind, "{}{causes}", self.message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        Failure::invalid(error.to_string())
    }
}

impl From<wharf_engine::Error> for Failure {
    fn from(error: wharf_engine::Error) -> Self {
        Failure { kind: error.kind(), message: error.to_string(), source: Some(Box::new(error)) }
    }
}

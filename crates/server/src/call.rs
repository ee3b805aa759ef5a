//! One request as handlers see it, and the answer they give.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::combinators::UnsyncBoxBody;
use wharf_api::{ApiVersion, Filters};

use crate::failure::Failure;
use crate::query::Query;
use crate::upload::Upload;

/// What a body may fail with.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// An answer.
pub(crate) type Response = http::Response<Body>;

/// What handlers return: an answer, or an error document.
pub(crate) type Result<T = Response> = std::result::Result<T, Failure>;

/// A handler at work.
pub(crate) type Pending = Pin<Box<dyn Future<Output = Result> + Send>>;

/// One request, taken apart. `S` is the engine; tests put something smaller there.
pub(crate) struct Call<S> {
    /// What answers.
    pub(crate) engine: Arc<S>,
    /// API version of the path, or the newest.
    pub(crate) version: ApiVersion,
    /// The variable part of the path, percent-decoded.
    pub(crate) name: String,
    /// The query, percent-decoded.
    pub(crate) query: Query,
    /// Method, path and headers as they came.
    pub(crate) head: Parts,
    /// The body, until somebody takes it.
    pub(crate) body: Option<Upload>,
}

impl<S> Call<S> {
    /// The `filters` parameter.
    pub(crate) fn filters(&self) -> Result<Filters> {
        Ok(Filters::parse(self.query.text("filters"))?)
    }

    /// A header as text; nothing when it is missing or is no text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The client speaks at least this version.
    pub(crate) fn since(&self, minor: u32) -> bool {
        self.version >= ApiVersion(1, minor)
    }
}

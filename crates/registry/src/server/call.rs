//! A request, as handlers see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, Method, Uri};

use super::Registry;
use super::auth::{Action, Need};
use super::name::Name;

/// A request without its body.
pub(crate) struct Call {
    /// What it is sent to.
    pub(crate) registry: Arc<Registry>,
    /// Its method.
    pub(crate) method: Method,
    /// Its address.
    pub(crate) uri: Uri,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Whether its body was begun to be read.
    pub(crate) reads: AtomicBool,
}

impl Call {
    /// A parameter of the query string, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.queries(name).next()
    }

    /// All values of a parameter of the query string, decoded.
    pub(crate) fn queries(&self, name: &str) -> impl Iterator<Item = String> {
        let query = self.uri.query().unwrap_or_default();
        let of_name = form_urlencoded::parse(query.as_bytes()).filter(move |(key, _)| key == name);
        of_name.map(|(_, value)| value.into_owned())
    }

    /// A header that is text.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Notes that the body is read from now on.
    pub(crate) fn reads_body(&self) {
        self.reads.store(true, Ordering::Relaxed);
    }

    /// Whether the client holds its body back until it is told to go on, which it was not (RFC 9110, section 10.1.1).
    pub(crate) fn holds_body_back(&self) -> bool {
        self.headers.contains_key(http::header::EXPECT) && !self.reads.load(Ordering::Relaxed)
    }

    /// An address of this registry to send a client to: relative, so that it is right behind any proxy, unless an
    /// address for the outside is configured.
    pub(crate) fn location(&self, path: &str) -> String {
        let host = self.registry.config.host.as_deref().unwrap_or_default();
        format!("{}{path}", host.trim_end_matches('/'))
    }

    /// Whether the client may also read from another repository.
    pub(crate) async fn may_pull(&self, name: &Name) -> bool {
        let need = Need { name: Some(name), action: Action::Pull };
        self.registry.authority.check(&self.headers, &[need]).await.is_ok()
    }
}

//! From a path to a handler: version prefix, negotiation, the route table, the headers that every answer has.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use wharf_api::version::{MAX, MIN};
use wharf_api::{ApiVersion, ErrorKind};

use crate::call::{Call, Pending, Response, Result};
use crate::failure::Failure;
use crate::query::Query;
use crate::upload::Upload;

/// One line of the route table.
pub(crate) struct Route<S> {
    /// Method.
    pub(crate) method: Method,
    /// Path; `{…}` stands for one or more characters, slashes included, because names have slashes.
    pub(crate) path: &'static str,
    /// What answers.
    pub(crate) handler: fn(Call<S>) -> Pending,
}

/// Declares a route table: `GET "/path/{name}" => module::handler;` lines. The first line that fits wins.
macro_rules! routes {
    ($engine:ty; $($method:ident $path:literal => $($handler:ident)::+;)*) => {
        &[$($crate::dispatch::Route::<$engine> {
            method: http::Method::$method,
            path: $path,
            handler: |call| Box::pin($($handler)::+(call)),
        },)*]
    };
}

/// Answers one request.
pub(crate) async fn dispatch<S>(
    engine: Arc<S>,
    routes: &'static [Route<S>],
    request: Request<Incoming>,
) -> std::result::Result<Response, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    tracing::debug!(%method, path = request.uri().to_string(), "called");
    let mut response = match answer(engine, routes, request).await {
        Ok(response) => response,
        Err(failure) => {
            failure.log(&method, &path);
            failure.into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert("api-version", HeaderValue::from_static("1.51"));
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers
        .insert("server", HeaderValue::from_static(concat!("Wharf/", env!("CARGO_PKG_VERSION"), " (linux)")));
    Ok(response)
}

async fn answer<S>(engine: Arc<S>, routes: &'static [Route<S>], request: Request<Incoming>) -> Result {
    let (head, body) = request.into_parts();
    let body = Upload::new(body);
    let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
    let (version, path) = split_version(&path);
    let (route, name) = find(routes, &head.method, path)
        .ok_or_else(|| Failure::new(ErrorKind::NotFound, "page not found"))?;
    let call = Call {
        engine,
        version: negotiate(version)?,
        name: name.to_owned(),
        query: Query::parse(head.uri.query().unwrap_or_default()),
        head,
        body: Some(body),
    };
    (route.handler)(call).await
}

/// Splits `/v1.51/info` into `1.51` and `/info`. What does not look like a version stays part of the path.
fn split_version(path: &str) -> (Option<&str>, &str) {
    let split = path.strip_prefix("/v").and_then(|rest| rest.find('/').map(|end| rest.split_at(end)));
    match split {
        Some((version, rest))
            if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') =>
        {
            (Some(version), rest)
        }
        _ => (None, path),
    }
}

fn negotiate(version: Option<&str>) -> Result<ApiVersion> {
    let Some(text) = version else { return Ok(MAX) };
    // A number too large to read is too new.
    let version = text.parse().unwrap_or(ApiVersion(u32::MAX, 0));
    if version < MIN {
        return Err(Failure::invalid(format!(
            "client version {text} is too old. Minimum supported API version is {MIN}, please upgrade your client \
             to a newer version"
        )));
    }
    if version > MAX {
        return Err(Failure::invalid(format!(
            "client version {text} is too new. Maximum supported API version is {MAX}"
        )));
    }
    Ok(version)
}

/// The first route that fits, with the variable part of the path.
pub(crate) fn find<'r, 'p, S>(
    routes: &'r [Route<S>],
    method: &Method,
    path: &'p str,
) -> Option<(&'r Route<S>, &'p str)> {
    routes
        .iter()
        .filter(|route| route.method == *method)
        .find_map(|route| matches(route.path, path).map(|name| (route, name)))
}

/// Matches a path against a pattern with at most one variable part.
fn matches<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    match (pattern.find('{'), pattern.find('}')) {
        (Some(start), Some(end)) => {
            let name = path.strip_prefix(&pattern[..start])?.strip_suffix(&pattern[end + 1..])?;
            (!name.is_empty()).then_some(name)
        }
        _ => (pattern == path).then_some(""),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(split_version("/v1.51/info"), (Some("1.51"), "/info"));
        assert_eq!(split_version("/info"), (None, "/info"));
        assert_eq!(split_version("/vbad/version"), (None, "/vbad/version"));
        assert_eq!(split_version("/version"), (None, "/version"));
        assert_eq!(split_version("/volumes/x"), (None, "/volumes/x"));
        assert_eq!(negotiate(None).unwrap(), MAX);
        assert_eq!(negotiate(Some("1.24")).unwrap(), ApiVersion(1, 24));
        let refused = |version| negotiate(Some(version)).unwrap_err().to_string();
        assert_eq!(refused("1.99"), "client version 1.99 is too new. Maximum supported API version is 1.51");
        assert_eq!(
            refused("1.10"),
            "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a \
             newer version"
        );
    }

    #[test]
    fn patterns() {
        assert_eq!(matches("/images/{name}/json", "/images/host:5000/a/b:c/json"), Some("host:5000/a/b:c"));
        assert_eq!(matches("/images/{name}/json", "/images/json"), None);
        assert_eq!(matches("/images/{name}/json", "/images//json"), None);
        assert_eq!(matches("/containers/{name}", "/containers/a/b"), Some("a/b"));
        assert_eq!(matches("/info", "/info"), Some(""));
        assert_eq!(matches("/info", "/info/"), None);
    }
}

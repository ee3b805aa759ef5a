//! Bodies and plain answers.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use wharf_oci::Digest;

use super::call::Call;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// `Docker-Content-Digest`.
pub(crate) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// `Docker-Upload-UUID`.
pub(crate) const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// A body that is known at once.
pub(crate) fn full(data: impl Into<Bytes>) -> Body {
    Full::new(data.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// An answer with a body of a type.
pub(crate) fn typed(status: StatusCode, content_type: &str, data: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(data));
    *response.status_mut() = status;
    set(response.headers_mut(), CONTENT_TYPE, content_type);
    response
}

/// A document.
pub(crate) fn json(content_type: &str, document: &serde_json::Value) -> Response<Body> {
    typed(StatusCode::OK, content_type, document.to_string())
}

/// The answer to a client that has what it asks for: `If-None-Match` names the digest of it (RFC 9110, section 13.1.2).
pub(crate) fn unchanged(call: &Call, digest: &Digest) -> Option<Response<Body>> {
    let etag = etag(digest);
    let mut tags = call.header(IF_NONE_MATCH)?.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    if !tags.any(|tag| tag == etag || tag == "*") {
        return None;
    }
    let mut response = empty(StatusCode::NOT_MODIFIED);
    set(response.headers_mut(), ETAG, &etag);
    Some(response)
}

/// The `ETag` of what has a digest.
pub(crate) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Sets a header; a value that cannot stand in one is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

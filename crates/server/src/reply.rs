//! Plain answers: documents, empty ones, bytes and streams of bytes.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;

use crate::call::{Body, BodyError, Response};

/// `Content-Type` of documents and of streams of documents.
pub(crate) const JSON: &str = "application/json";

/// A document with status 200.
pub(crate) fn json<T: Serialize>(document: &T) -> Response {
    json_with(StatusCode::OK, document)
}

/// A document with status 201.
pub(crate) fn created<T: Serialize>(document: &T) -> Response {
    json_with(StatusCode::CREATED, document)
}

/// A document with any status.
pub(crate) fn json_with<T: Serialize>(status: StatusCode, document: &T) -> Response {
    match serde_json::to_vec(document) {
        Ok(mut text) => {
            text.push(b'\n');
            with_type(status, JSON, full(text))
        }
        Err(error) => {
            tracing::error!(%error, "a document cannot be written as JSON");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// As [`json`], with the characters that mean something in HTML as escapes, as Go writes them where it is not told
/// otherwise.
pub(crate) fn json_for_html(document: &serde_json::Value) -> Response {
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    // None of them stands outside of strings.
    let text = escapes.iter().fold(document.to_string(), |text, (c, escape)| text.replace(*c, escape));
    with_type(StatusCode::OK, JSON, full(text + "\n"))
}

/// Text with status 200.
pub(crate) fn text(text: &'static str) -> Response {
    with_type(StatusCode::OK, "text/plain; charset=utf-8", full(text))
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Status 204.
pub(crate) fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

/// Bytes as they come, chunked. Headers go out at once.
pub(crate) fn stream<E>(
    content_type: &'static str,
    bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Response
where
    E: Into<BodyError> + 'static,
{
    let frames = bytes.map_ok(Frame::data).map_err(Into::into);
    with_type(StatusCode::OK, content_type, StreamBody::new(frames).boxed_unsync())
}

/// Documents as they come, one a line. Headers go out at once.
pub(crate) fn json_lines<T: Serialize>(documents: impl Stream<Item = T> + Send + 'static) -> Response {
    stream(JSON, documents.map(|document| json_line(&document)))
}

/// A document and the line end that streams of documents use.
pub(crate) fn json_line<T: Serialize>(document: &T) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(document)?;
    line.push(b'\n');
    Ok(Bytes::from(line))
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

//! Request bodies: documents with Go's rules and words, and byte streams for code that blocks.

use std::io::{self, Read};

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::sync::mpsc;

use crate::call::{Call, Result};
use crate::failure::Failure;
use crate::go_json;

/// Far beyond any real document.
const MAX_DOCUMENT: usize = 16 << 20;

impl<S> Call<S> {
    /// The body as a document; the zero value when there is no body.
    pub(crate) async fn json<T: DeserializeOwned + Default>(&mut self) -> Result<T> {
        match self.document().await? {
            Some(text) => decode(&text),
            None => Ok(T::default()),
        }
    }

    /// The body of a call that needs a document.
    pub(crate) async fn required_json<T: DeserializeOwned>(&mut self) -> Result<(T, Bytes)> {
        let text = self.document().await?.unwrap_or_default();
        Ok((decode(&text)?, text))
    }

    /// The text of a document; nothing when the request says that it has no body.
    async fn document(&mut self) -> Result<Option<Bytes>> {
        let body = self.body.take().filter(|body| !body.is_end_stream());
        check_content_type(&self.head.headers, body.is_none())?;
        let Some(body) = body else { return Ok(None) };
        let body = Limited::new(body, MAX_DOCUMENT).collect().await;
        let text = body.map_err(|error| Failure::invalid(format!("invalid JSON: {error}")))?.to_bytes();
        Ok(Some(text))
    }

    /// The body as a blocking reader, for code on a blocking thread.
    pub(crate) fn reader(&mut self) -> BodyReader {
        let (sender, parts) = mpsc::channel(PARTS_AHEAD);
        if let Some(mut body) = self.body.take() {
            tokio::spawn(async move {
                while let Some(frame) = body.frame().await {
                    let part = frame.map(|frame| frame.into_data().unwrap_or_default());
                    // Nobody reads any more.
                    if sender.send(part.map_err(io::Error::other)).await.is_err() {
                        return;
                    }
                }
            });
        }
        BodyReader { parts, current: Bytes::new() }
    }
}

fn check_content_type(headers: &HeaderMap, no_body: bool) -> Result<()> {
    let value = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    if value.is_empty() {
        let malformed = || Failure::invalid("malformed Content-Type header (): mime: no media type");
        return if no_body { Ok(()) } else { Err(malformed()) };
    }
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Failure::invalid(format!("unsupported Content-Type header ({value}): must be 'application/json'")))
}

fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<T>();
    let value = match values.next() {
        None => return Err(Failure::invalid("invalid JSON: got EOF while reading request body")),
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(Failure::invalid(format!("invalid JSON: {}", words(text, &error)))),
    };
    let rest = text[values.byte_offset()..].iter().find(|byte| !byte.is_ascii_whitespace());
    // compat: Go's `More` takes a closing bracket for the end of an enclosing value.
    match rest {
        None | Some(b']' | b'}') => Ok(value),
        Some(_) => Err(Failure::invalid("unexpected content after JSON")),
    }
}

fn words(text: &[u8], error: &serde_json::Error) -> String {
    if matches!(error.classify(), Category::Syntax | Category::Eof)
        && let Some(words) = go_json::syntax_error(text)
    {
        return words;
    }
    type_error(&error.to_string())
}

/// A wrong type in Go's manner. Which field it was is not known here, so the value's type stands alone.
fn type_error(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or(text);
    let Some((found, expected)) = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "))
        .and_then(|text| text.split_once(", expected "))
    else {
        return text.to_owned();
    };
    let found = match found.split([' ', '`']).next() {
        Some("string") => "string".to_owned(),
        Some("integer" | "floating") => {
            format!("number {}", found.split('`').nth(1).unwrap_or_default()).trim_end().to_owned()
        }
        Some("boolean") => "bool".to_owned(),
        Some("sequence") => "array".to_owned(),
        Some("map") => "object".to_owned(),
        _ => found.to_owned(),
    };
    let expected = match expected {
        "i64" => "int64",
        "u64" => "uint64",
        "u32" => "uint32",
        "u16" => "uint16",
        "a boolean" => "bool",
        "a string" => "string",
        "a sequence" | "a string or a list of strings" => "[]string",
        other => other.strip_prefix("struct ").unwrap_or(other),
    };
    format!("json: cannot unmarshal {found} into Go value of type {expected}")
}

/// Parts of a body that are received before they are read: receiving and the work on what came go on at the same time.
const PARTS_AHEAD: usize = 8;

/// A request body as a blocking reader. Must not be read on a thread that drives the runtime.
pub(crate) struct BodyReader {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.parts.blocking_recv() {
                None => return Ok(0),
                Some(part) => self.current = part?,
            }
        }
        let now = self.current.split_to(out.len().min(self.current.len()));
        out[..now.len()].copy_from_slice(&now);
        Ok(now.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wharf_api::container::CreateRequest;

    use super::*;

    fn fails(text: &str) -> String {
        decode::<CreateRequest>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn words_of_errors() {
        assert_eq!(fails(""), "invalid JSON: got EOF while reading request body");
        assert_eq!(fails("  "), "invalid JSON: got EOF while reading request body");
        assert_eq!(
            fails("{bad"),
            "invalid JSON: invalid character 'b' looking for beginning of object key string"
        );
        assert_eq!(fails(r#"{"Image":"busybox"} x"#), "unexpected content after JSON");
        assert_eq!(
            fails(r#"{"HostConfig":{"Memory":"1g"}}"#),
            "invalid JSON: json: cannot unmarshal string into Go value of type int64"
        );
        assert_eq!(
            fails(r#"{"Tty":1}"#),
            "invalid JSON: json: cannot unmarshal number 1 into Go value of type bool"
        );
        assert!(decode::<CreateRequest>(b"{} }").is_ok());
    }

    #[test]
    fn content_types() {
        let check = |value: Option<&'static str>, no_body| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(value));
            }
            check_content_type(&headers, no_body).map_err(|failure| failure.to_string())
        };
        assert!(check(None, true).is_ok() && check(Some("application/json; charset=utf-8"), false).is_ok());
        assert_eq!(check(None, false).unwrap_err(), "malformed Content-Type header (): mime: no media type");
        assert_eq!(
            check(Some("text/plain"), true).unwrap_err(),
            "unsupported Content-Type header (text/plain): must be 'application/json'"
        );
    }
}

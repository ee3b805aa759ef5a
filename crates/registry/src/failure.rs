//! What went wrong on the way, in the words Docker's users know (those of Go's HTTP client).

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use crate::auth::Challenge;
use crate::error::{Error, ErrorItem, PLAIN_HTTP};

/// Longest error body that is read.
const MAX_BODY: usize = 64 << 10;
/// Go's word for a connection that ended too early.
const EOF: &str = "EOF";

/// A name that did not resolve; put into the error chain by [`Lookup`].
#[derive(Debug, thiserror::Error)]
#[error("lookup {host}{server}: {reason}")]
struct LookupError {
    host: String,
    server: String,
    reason: &'static str,
}

/// The system's resolver, with errors that can be recognised afterwards.
#[derive(Debug)]
pub(crate) struct Lookup;

impl reqwest::dns::Resolve for Lookup {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move {
            match tokio::net::lookup_host((name.as_str(), 0)).await {
                Ok(found) => {
                    let found: Vec<SocketAddr> = found.collect();
                    Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
                }
                Err(error) => {
                    Err(Box::new(lookup_error(name.as_str(), &error)) as Box<dyn StdError + Send + Sync>)
                }
            }
        })
    }
}

fn lookup_error(host: &str, error: &io::Error) -> LookupError {
    let temporary = error.to_string().contains("emporary failure");
    let server = std::fs::read_to_string("/etc/resolv.conf")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("nameserver").map(|rest| format!(" on {}:53", rest.trim())))
        .unwrap_or_default();
    let reason = if temporary { "server misbehaving" } else { "no such host" };
    LookupError { host: host.to_owned(), server, reason }
}

/// An error for a request that got no answer.
pub(crate) async fn transport(verb: &'static str, url: &Url, error: &reqwest::Error) -> Error {
    if error.is_redirect() {
        let reason = transport_reason(error);
        return Error::NotFollowed { verb, url: shown(url), reason };
    }
    let (reason, unreachable) = match reason(error) {
        Reason::Plain(text, unreachable) => (text, unreachable),
        Reason::Connect(text) => (format!("dial tcp {}: connect: {text}", address(url).await), true),
    };
    Error::Transport { verb, url: shown(url), reason, unreachable }
}

/// Why a connection broke, without the address.
pub(crate) fn transport_reason(error: &reqwest::Error) -> String {
    match reason(error) {
        Reason::Plain(text, _) | Reason::Connect(text) => text,
    }
}

/// An error for a request that took too long.
pub(crate) fn timeout(verb: &'static str, url: &Url) -> Error {
    let reason = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned();
    Error::Transport { verb, url: shown(url), reason, unreachable: true }
}

/// An error for a server that was asked by HTTPS and has no TLS.
pub(crate) fn plain_http(verb: &'static str, url: &Url) -> Error {
    Error::Transport { verb, url: shown(url), reason: PLAIN_HTTP.to_owned(), unreachable: false }
}

/// Go prints the URL as it was asked for; credentials never stand in it.
fn shown(url: &Url) -> String {
    url.as_str().to_owned()
}

enum Reason {
    Plain(String, bool),
    Connect(String),
}

fn reason(error: &reqwest::Error) -> Reason {
    let mut last = error.to_string();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(lookup) = current.downcast_ref::<LookupError>() {
            return Reason::Plain(format!("dial tcp: {lookup}"), true);
        }
        if let Some(tls) = current.downcast_ref::<rustls::Error>() {
            return Reason::Plain(crate::tls::reason(tls), false);
        }
        if let Some(text) = current.downcast_ref::<hyper::Error>().and_then(http_reason) {
            return Reason::Plain(text, false);
        }
        if let Some(io) = current.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::UnexpectedEof {
                // In the body an answer had begun.
                let text = if error.is_body() || error.is_decode() { "unexpected EOF" } else { EOF };
                return Reason::Plain(text.to_owned(), false);
            }
            if let Some(inner) = io.get_ref() {
                // Its `source` would skip this one.
                cause = Some(inner);
                last = inner.to_string();
                continue;
            }
            if let Some(code) = io.raw_os_error() {
                let text = errno_text(code);
                return if error.is_connect() { Reason::Connect(text) } else { Reason::Plain(text, false) };
            }
        }
        last = current.to_string();
        cause = current.source();
    }
    if error.is_timeout() {
        return Reason::Plain("net/http: request canceled while waiting for connection".to_owned(), true);
    }
    Reason::Plain(last, false)
}

/// What Go says of an answer that is no HTTP.
fn http_reason(error: &hyper::Error) -> Option<String> {
    let what = match error {
        error if error.is_incomplete_message() || error.is_canceled() => return Some(EOF.to_owned()),
        error if error.is_parse_too_large() => "net/http: server response headers are too large",
        error if error.is_parse() => "malformed HTTP response",
        _ => return None,
    };
    Some(format!("net/http: HTTP/1.x transport connection broken: {what}"))
}

/// The system's message in Go's spelling.
fn errno_text(code: i32) -> String {
    let text = io::Error::from_raw_os_error(code).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

async fn address(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    match tokio::net::lookup_host((crate::endpoint::bare_host(&format!("{host}:{port}")), port)).await {
        Ok(mut found) => found.next().map_or_else(|| format!("{host}:{port}"), |address| address.to_string()),
        Err(_) => format!("{host}:{port}"),
    }
}

/// An error for an answer that is not the wanted one.
pub(crate) async fn answer(response: Response) -> Error {
    let status = response.status();
    if !status.is_client_error() {
        return unfollowed(&response).unwrap_or_else(|| Error::Status(status_line(status)));
    }
    let refused = Challenge::of(response.headers()).into_iter().find_map(|challenge| challenge.refusal());
    let is_json = is_json(&response);
    let body = printable(&body(response).await);
    let parsed = parse_body(status.as_u16(), is_json, &body);
    match (refused, parsed) {
        (Some(item), Error::Registry { status, mut items }) => {
            items.retain(|other| other.code != item.code);
            items.insert(0, item);
            Error::Registry { status, items }
        }
        (Some(item), _) => Error::Registry { status: status.as_u16(), items: vec![item] },
        (None, Error::Body { .. }) if status == StatusCode::UNAUTHORIZED => {
            let item = ErrorItem {
                code: "UNAUTHORIZED".to_owned(),
                message: "authentication required".to_owned(),
                detail: Some(body.into()),
            };
            Error::Registry { status: status.as_u16(), items: vec![item] }
        }
        (None, parsed) => parsed,
    }
}

/// A redirect to something that is no HTTP; the HTTP client gives it back as it came.
fn unfollowed(response: &Response) -> Option<Error> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let url = response.url().join(location).ok()?;
    let reason = format!("unsupported protocol scheme {:?}", url.scheme());
    let unsupported = response.status().is_redirection() && !matches!(url.scheme(), "http" | "https");
    unsupported.then(|| Error::NotFollowed { verb: "Get", url: shown(&url), reason })
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    matches!(kind, "application/json" | "application/vnd.api+json")
}

/// Text of a stranger as a terminal may show it: control characters but line ends and tabs are spelled out.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_ascii_control() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

pub(crate) fn status_line(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default()).trim_end().to_owned()
}

/// The body of an answer, cut at 64 KiB, invalid UTF-8 replaced.
pub(crate) async fn body(mut response: Response) -> String {
    let mut data = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        data.extend_from_slice(&chunk);
        if data.len() >= MAX_BODY {
            data.truncate(MAX_BODY);
            break;
        }
    }
    String::from_utf8_lossy(&data).into_owned()
}

/// What an answer means. A body that is said to be something else than JSON, and is, stands as it is for what is wrong.
fn parse_body(status: u16, is_json: bool, body: &str) -> Error {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Document {
        errors: Option<Vec<ErrorItem>>,
        details: Option<String>,
    }

    let document: Document = match serde_json::from_str(body) {
        Ok(document) => document,
        Err(_) if !is_json && !body.trim().is_empty() => return stated(status, body.to_owned()),
        Err(error) => {
            return Error::Body { status, reason: json_reason(body, &error), body: body.to_owned() };
        }
    };
    if let Some(message) = document.details.filter(|details| !details.is_empty()) {
        return stated(status, printable(&message));
    }
    match document.errors {
        Some(mut items) if !items.is_empty() => {
            for item in &mut items {
                item.message = printable(&item.message);
            }
            Error::Registry { status, items }
        }
        _ if !is_json && !body.starts_with('{') => stated(status, body.to_owned()),
        _ => {
            let reason = "no error details found in HTTP response body".to_owned();
            Error::Body { status, reason, body: body.to_owned() }
        }
    }
}

/// An error document in place of one that is missing: the status tells the code.
fn stated(status: u16, message: String) -> Error {
    let code = match status {
        401 => "UNAUTHORIZED",
        403 => "DENIED",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    };
    // The detail is what makes the text come out in full.
    let item = ErrorItem { code: code.to_owned(), message, detail: Some(true.into()) };
    Error::Registry { status, items: vec![item] }
}

/// Go's words for the two usual ways in which a body is not JSON.
fn json_reason(body: &str, error: &serde_json::Error) -> String {
    match body.trim_start().chars().next() {
        None => "unexpected end of JSON input".to_owned(),
        Some(c) if !matches!(c, '{' | '[' | '"' | '-' | '0'..='9' | 't' | 'f' | 'n') => {
            format!("invalid character '{c}' looking for beginning of value")
        }
        Some(_) => error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn error_documents_read_as_docker_reads_them() {
        let bodies = [
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
            r#"{"errors":[{"code":"DENIED","message":"no"},{"code":"UNKNOWN","message":null}]}"#,
            r#"{"errors":[{"code":"A_B","message":"first"},{"code":"UNKNOWN"}]}"#,
            r#"{"details":"too fast"}"#,
            "{}",
            r#"{"errors":[{"code":"DENIED","message":"\u001b[31mred\u009b"}]}"#,
            "",
            "<html>",
        ];
        let text: String =
            bodies.iter().map(|body| format!("{body}\n  {}\n", parse_body(404, true, body))).collect();
        expect![[r#"
            {"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}
              manifest unknown
            {"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}
              manifest unknown: manifest unknown
            {"errors":[{"code":"DENIED","message":"no"},{"code":"UNKNOWN","message":null}]}
              errors:
            denied: no
            unknown

            {"errors":[{"code":"A_B","message":"first"},{"code":"UNKNOWN"}]}
              errors:
            unknown: first
            unknown

            {"details":"too fast"}
              unknown: too fast
            {}
              error parsing HTTP 404 response body: no error details found in HTTP response body: "{}"
            {"errors":[{"code":"DENIED","message":"\u001b[31mred\u009b"}]}
              denied: \x1b[31mred\u009b

              error parsing HTTP 404 response body: unexpected end of JSON input: ""
            <html>
              error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: "<html>"
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_body_that_is_no_json_is_what_is_wrong() {
        for (status, text) in [(403, "denied: no"), (404, "unknown: no"), (429, "toomanyrequests: no")] {
            assert_eq!(parse_body(status, false, "no").to_string(), text);
        }
        let document = r#"{"errors":[{"code":"DENIED"}]}"#;
        assert_eq!(parse_body(403, false, document).to_string(), "denied");
        assert_eq!(printable("a\nb\tc\r\u{1b}[1m\u{9b}ä"), "a\nb\tc\\x0d\\x1b[1m\\u009bä");
    }
}

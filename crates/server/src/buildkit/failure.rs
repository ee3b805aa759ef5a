//! Errors as BuildKit's clients get them: a status, and details that are JSON under the names of Go types.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde_json::json;
use tonic::{Code, Status};
use wharf_api::build;

use super::proto::types::{Any, RpcStatus};

/// Detail of an error: where in a file it is about.
const SOURCE: &str = "github.com/moby/buildkit/errdefs.Source+json";
/// Detail of an error: the vertex that failed.
const VERTEX: &str = "github.com/moby/buildkit/errdefs.Vertex+json";
/// Detail of an error: a question that is not answered.
const SUBREQUEST: &str = "github.com/moby/buildkit/errdefs.Subrequest+json";

/// A file that errors are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// An error of the engine.
pub(super) fn status(error: &crate::failure::Failure) -> Status {
    Status::unknown(error.to_string())
}

/// A build that failed. `vertex` is the digest of what did.
pub(super) fn build(failure: &build::Failure, vertex: Option<String>, source: &Source) -> Status {
    let mut details = Vec::new();
    if let Some(digest) = vertex {
        details.push((VERTEX, json!({ "digest": digest })));
    }
    if let Some((first, last)) = failure.lines {
        let info = json!({
            "filename": source.name,
            "data": STANDARD.encode(&source.text),
            "language": "Dockerfile",
        });
        let range = json!({ "start": { "line": first }, "end": { "line": last } });
        details.push((SOURCE, json!({ "info": info, "ranges": [range] })));
    }
    // Clients that cancel see that from their own side.
    let code = if failure.message == "context canceled" { Code::Cancelled } else { Code::Unknown };
    with_details(code, &failure.message, details)
}

/// A question about a Dockerfile that is not answered (`requestid`).
pub(super) fn unsupported_request(options: &HashMap<String, String>) -> Status {
    let name = options.get("requestid").map(String::as_str).unwrap_or_default();
    let message = format!("unsupported request {name}");
    with_details(Code::Unimplemented, &message, vec![(SUBREQUEST, json!({ "name": name }))])
}

fn with_details(code: Code, message: &str, details: Vec<(&str, serde_json::Value)>) -> Status {
    let detail = |(url, value): (&str, serde_json::Value)| Any {
        type_url: url.to_owned(),
        value: value.to_string().into_bytes(),
    };
    let details = details.into_iter().map(detail).collect();
    let status = RpcStatus { code: code as i32, message: message.to_owned(), details };
    Status::with_details(code, message, status.encode_to_vec().into())
}

//! Paths of containers as archives, both ways.

use std::io::{BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use tokio::sync::oneshot;
use wharf_api::container::PathStat;
use wharf_engine::container::PutOptions;

use super::Call;
use super::transfer::{PIECE, TAR};
use crate::call::{Response, Result};
use crate::failure::Failure;
use crate::produce::{self, blocking};
use crate::reply;

/// `HEAD /containers/{name}/archive`.
pub(super) async fn stat(call: Call) -> Result {
    let found = blocking(move || call.engine.stat_path(&call.name, call.query.text("path"))).await?;
    with_stat(reply::empty(StatusCode::OK), &found)
}

/// `GET /containers/{name}/archive`.
pub(super) async fn get(call: Call) -> Result {
    let (sender, mut receiver) = oneshot::channel();
    let response = produce::bytes(TAR, move |sink| {
        let mut buffered = BufWriter::with_capacity(PIECE, sink);
        let described = |stat| {
            let _ = sender.send(stat);
        };
        call.engine.get_archive(&call.name, call.query.text("path"), described, &mut buffered)?;
        buffered.flush().map_err(|error| Failure::system(error.to_string()))
    });
    let response = response.await?;
    // It was described before its first byte was written.
    let found = receiver.try_recv().map_err(|error| Failure::system(error.to_string()))?;
    with_stat(response, &found)
}

/// `PUT /containers/{name}/archive`.
pub(super) async fn put(mut call: Call) -> Result {
    let body = call.reader();
    let options = PutOptions {
        keep_kinds: call.query.flag("noOverwriteDirNonDir"),
        own: call.query.flag("copyUIDGID"),
    };
    blocking(move || call.engine.put_archive(&call.name, call.query.text("path"), options, body)).await?;
    Ok(reply::empty(StatusCode::OK))
}

fn with_stat(mut response: Response, stat: &PathStat) -> Result {
    let text = serde_json::to_vec(stat).map_err(|error| Failure::system(error.to_string()))?;
    let value = HeaderValue::try_from(STANDARD.encode(text));
    let value = value.map_err(|error| Failure::system(error.to_string()))?;
    response.headers_mut().insert("x-docker-container-path-stat", value);
    Ok(response)
}

//! Exec sessions.

use std::io::Write;
use std::os::unix::net::UnixStream;

use http::{HeaderValue, StatusCode, header};
use wharf_api::exec::{CreateRequest, CreateResponse, StartRequest};
use wharf_api::stream::{RAW_STREAM, StreamKind, frame};

use super::streams::asynchronous;
use super::{Call, containers};
use crate::call::Result;
use crate::hijack::{Session, hijack};
use crate::produce::blocking;
use crate::{reply, views};

/// `POST /containers/{name}/exec`.
pub(super) async fn create(mut call: Call) -> Result {
    let request: CreateRequest = call.json().await?;
    let id = blocking(move || call.engine.create_exec(&call.name, request)).await?;
    Ok(reply::created(&CreateResponse { id }))
}

/// `POST /exec/{id}/start`.
pub(super) async fn start(mut call: Call) -> Result {
    let request: StartRequest = call.json().await?;
    let exec = call.engine.exec(&call.name)?;
    let raw = exec.request.tty;
    let size = request.console_size.map(|[height, width]| (cells(height), cells(width)));
    let engine = call.engine.clone();
    let started = {
        let (engine, id, detach) = (engine.clone(), exec.id.clone(), request.detach);
        blocking(move || engine.start_exec(&id, detach, size))
    };
    if request.detach {
        started.await?;
        let mut response = reply::empty(StatusCode::OK);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(RAW_STREAM));
        return Ok(response);
    }
    // The program starts while the answer is on its way.
    let started = tokio::spawn(started);
    let stream = async move {
        match started.await.ok()? {
            Ok(stream) => asynchronous(stream?),
            Err(failure) => asynchronous(last_words(&failure.to_string(), raw).ok()?),
        }
    };
    let ended = async move { engine.exec_ended(&exec.id).await };
    Ok(hijack(call, Session { past: None, stream, ended, raw }))
}

fn cells(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// A stream that says why there is none: by the time a program cannot be started, the connection is hijacked.
fn last_words(message: &str, raw: bool) -> std::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let text = format!("{message}\r\n");
    let text = if raw { text.into_bytes() } else { frame(StreamKind::Stdout, text.as_bytes()) };
    // Fits the socket's buffer; a longer message is cut.
    ours.set_nonblocking(true)?;
    let _ = (&ours).write(&text)?;
    Ok(theirs)
}

/// `POST /exec/{id}/resize`.
pub(super) async fn resize(call: Call) -> Result {
    let (height, width) = containers::size(&call)?;
    blocking(move || call.engine.resize_exec(&call.name, height, width)).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `GET /exec/{id}/json`.
pub(super) async fn inspect(call: Call) -> Result {
    Ok(reply::json(&views::exec::inspect(call.engine.exec(&call.name)?)))
}

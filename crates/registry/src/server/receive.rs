//! The body of an upload on its way into the storage: hashed as it comes in, while what came before is written.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::blocking;
use super::failure::{Code, Failure, Result};
use super::metrics::Metrics;
use super::session::Progress;
use super::storage::Writer;

/// Bytes handed over at once: large enough that the hand-over costs nothing, small enough for many clients.
const BATCH: usize = 128 << 10;

/// How a body is received.
pub(crate) struct Receiver<'a> {
    /// How long it may stay silent.
    pub(crate) stall: Duration,
    /// Ends it early.
    pub(crate) interrupted: &'a CancellationToken,
    /// What is counted.
    pub(crate) metrics: &'a Metrics,
    /// Bytes that may come at most.
    pub(crate) limit: Option<u64>,
}

/// What is written to, and how far it is.
pub(crate) struct Sink {
    /// The file.
    pub(crate) writer: Box<dyn Writer>,
    /// How far it is.
    pub(crate) progress: Progress,
}

type Batch = tokio::task::JoinHandle<std::io::Result<Box<dyn Writer>>>;

/// What became of a body.
pub(crate) struct Received {
    /// How far the file is; `None` if it could not be written.
    pub(crate) sink: Option<Sink>,
    /// Why it ended, unless all of it came.
    pub(crate) failure: Option<Failure>,
}

impl Receiver<'_> {
    /// Receives a body to its end, or up to what went wrong. Everything that came is written then.
    pub(crate) async fn receive(&self, body: &mut Incoming, sink: Sink) -> Received {
        // All of it is written in the end, or the upload is given up: so it may be hashed before.
        let Sink { writer, mut progress } = sink;
        let start = progress.offset;
        let mut writing: Batch = tokio::spawn(std::future::ready(Ok(writer)));
        let (mut batch, mut waiting) = (Vec::new(), 0);
        let failure = loop {
            let data = match self.next(body).await {
                Ok(Some(data)) => data,
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            };
            let came = progress.offset - start + data.len() as u64;
            if self.limit.is_some_and(|limit| came > limit) {
                break Some(Failure::new(
                    Code::SizeInvalid,
                    "the chunk is longer than its Content-Range says",
                ));
            }
            progress.hasher.update(&data);
            progress.offset += data.len() as u64;
            waiting += data.len();
            batch.push(data);
            if waiting >= BATCH {
                match joined(writing).await {
                    Ok(writer) => writing = write(writer, std::mem::take(&mut batch)),
                    Err(failure) => return Received { sink: None, failure: Some(failure) },
                }
                waiting = 0;
            }
        };
        let written = match joined(writing).await {
            Ok(writer) => joined(write(writer, batch)).await,
            Err(failure) => Err(failure),
        };
        match written {
            Ok(writer) => {
                self.metrics.received(progress.offset - start);
                Received { sink: Some(Sink { writer, progress }), failure }
            }
            Err(failure) => Received { sink: None, failure: Some(failure) },
        }
    }

    async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(self.stall, body.frame()) => frame,
                () = self.interrupted.cancelled() => {
                    return Err(Failure::new(Code::BlobUploadInvalid, "another request took the upload over"));
                }
            };
            match frame {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(error))) => {
                    return Err(Failure::new(
                        Code::BlobUploadInvalid,
                        format!("the body broke off: {error}"),
                    ));
                }
                Err(_) => {
                    let message = format!("no byte came for {} seconds", self.stall.as_secs());
                    return Err(Failure::new(Code::BlobUploadInvalid, message)
                        .status(http::StatusCode::REQUEST_TIMEOUT));
                }
            }
        }
    }
}

fn write(mut writer: Box<dyn Writer>, batch: Vec<Bytes>) -> Batch {
    blocking::spawn(move || {
        batch.iter().try_for_each(|data| writer.append(data))?;
        Ok(writer)
    })
}

async fn joined(batch: Batch) -> Result<Box<dyn Writer>> {
    Ok(blocking::join(batch).await??)
}

/// Reads the rest of a body for a while, so that a client that sends before it reads gets to see its answer.
pub(crate) async fn drain(body: &mut Incoming) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let _ = tokio::time::timeout(PATIENCE, async { while let Some(Ok(_)) = body.frame().await {} }).await;
}

//! The body of an upload on its way into the storage: hashed as it comes in, while what came before is written.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::blocking;
use super::failure::{Code, Failure, Result};
use super::metrics::Metrics;
use super::session::Progress;
use super::storage::Writer;

/// Bytes handed over at once: large enough that the hand-over costs nothing, small enough for many clients.
const BATCH: usize = 128 << 10;
/// Bytes of a body that have to come each time that it is waited for: fewer than any line has.
const LEAST: usize = 1 << 10;

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
        let mut patience = Patience::new(self.stall);
        let failure = loop {
            let data = match self.next(body, &mut patience).await {
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

    async fn next(&self, body: &mut Incoming, patience: &mut Patience) -> Result<Option<Bytes>> {
        tokio::select! {
            data = patience.next(body, Code::BlobUploadInvalid) => data,
            () = self.interrupted.cancelled() => {
                Err(Failure::new(Code::BlobUploadInvalid, "another request took the upload over"))
            }
        }
    }
}

/// How long a body is waited for. It has to go on by some bytes each time, so that one that comes byte by byte is as good
/// as none.
pub(crate) struct Patience {
    limit: Duration,
    /// When the next [`LEAST`] bytes have to be there.
    deadline: Instant,
    /// Bytes of them that are there.
    came: usize,
}

impl Patience {
    /// For a body that starts now.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, deadline: Instant::now() + limit, came: 0 }
    }

    /// The next part of a body; `None` at its end.
    ///
    /// # Errors
    /// With `code`, if it breaks off or does not come.
    pub(crate) async fn next<B>(&mut self, body: &mut B, code: Code) -> Result<Option<Bytes>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        loop {
            match tokio::time::timeout_at(self.deadline, body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.came += data.len();
                        if self.came >= LEAST {
                            (self.came, self.deadline) = (0, Instant::now() + self.limit);
                        }
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(error))) => {
                    return Err(Failure::new(code, format!("the body broke off: {error}")));
                }
                Err(_) => {
                    let message = format!("too little came for {} seconds", self.limit.as_secs());
                    return Err(Failure::new(code, message).status(StatusCode::REQUEST_TIMEOUT));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// How many bytes of a body come that sends `part` bytes each time that `pause` is over, for ever.
    async fn received(part: usize, pause: Duration, enough: usize) -> (usize, Option<Code>) {
        let parts = stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; part])))
        });
        let mut body = StreamBody::new(Box::pin(parts));
        let (mut patience, mut came) = (Patience::new(LIMIT), 0);
        while came < enough {
            match patience.next(&mut body, Code::ManifestInvalid).await {
                Ok(data) => came += data.unwrap().len(),
                Err(failure) => return (came, Some(failure.code())),
            }
        }
        (came, None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_to_go_on() {
        assert_eq!(received(1 << 20, LIMIT * 2, 1).await, (0, Some(Code::ManifestInvalid)));
        // However long it takes in all.
        assert_eq!(received(LEAST, LIMIT / 2, 100 * LEAST).await, (100 * LEAST, None));
        // Byte by byte is not going on.
        let (came, code) = received(1, LIMIT / 10, LEAST).await;
        assert!(came <= 10 && code == Some(Code::ManifestInvalid), "{came}");
    }
}

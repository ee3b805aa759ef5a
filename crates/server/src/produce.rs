//! Long answers made by blocking code: archives, and progress of transfers.
//!
//! The status is decided by what comes first: a failure before the first byte becomes an error document, one after
//! it ends the stream (archives) or becomes its last line (progress).

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::{self, JoinHandle};
use wharf_api::progress::Progress;

use crate::call::{Response, Result};
use crate::failure::Failure;
use crate::reply;

/// Pieces in flight between producer and connection.
const PIECES: usize = 8;

/// That a client is gone shows only when something is sent to it: after so long without progress that is a blank line, which
/// readers of JSON skip.
const SILENCE: Duration = Duration::from_secs(1);
const BLANK: &[u8] = b"\r\n";

/// Where blocking code writes an answer. Fails with `BrokenPipe` when the client is gone.
pub(crate) struct Sink {
    pieces: mpsc::Sender<Bytes>,
}

impl Sink {
    /// Hands over a piece without copying it.
    pub(crate) fn send(&mut self, piece: Bytes) -> io::Result<()> {
        self.pieces.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.send(Bytes::copy_from_slice(bytes))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs blocking code on the pool: the one bridge from handlers to the engine's verbs. It runs to its end even when
/// the client goes away.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce() -> std::result::Result<T, E> + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    E: Send + 'static,
    Failure: From<E>,
{
    match task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Failure::system(format!("the call broke off: {error}"))),
    }
}

/// Answers with the bytes that `work` writes on a blocking thread.
pub(crate) async fn bytes(
    content_type: &'static str,
    work: impl FnOnce(&mut Sink) -> Result<()> + Send + 'static,
) -> Result {
    let (sender, receiver) = mpsc::channel(PIECES);
    let worker = task::spawn_blocking(move || work(&mut Sink { pieces: sender }));
    pump(content_type, receiver, worker, None::<()>).await
}

/// Tells when the client of an answer is gone.
pub(crate) struct Gone {
    pieces: mpsc::Sender<Bytes>,
    runtime: tokio::runtime::Handle,
}

impl Gone {
    /// Calls `act` when the client goes away before the guard that is returned is dropped.
    pub(crate) fn on_end(self, act: impl FnOnce() + Send + 'static) -> Watch {
        Watch(self.runtime.spawn(async move {
            self.pieces.closed().await;
            // It may kill processes and wait for them.
            let _ = task::spawn_blocking(act).await;
        }))
    }
}

/// Ends the watch when dropped.
pub(crate) struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers with the lines of JSON that `work` writes on a blocking thread, and lets it know when nobody wants them any
/// more.
pub(crate) async fn lines_until_gone(
    content_type: &'static str,
    work: impl FnOnce(&mut Sink, Gone) -> Result<()> + Send + 'static,
) -> Result {
    let (sender, receiver) = mpsc::channel(PIECES);
    let gone = Gone { pieces: sender.clone(), runtime: tokio::runtime::Handle::current() };
    let worker = task::spawn_blocking(move || work(&mut Sink { pieces: sender }, gone));
    pump(content_type, receiver, worker, Some(())).await
}

/// Answers with the progress that `work` reports on a blocking thread, as JSON lines.
pub(crate) async fn progress(
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<()> + Send + 'static,
) -> Result {
    bytes(reply::JSON, move |sink| report(sink, work)).await
}

/// Sends what `work` reports, and a failure after the first line as the last one.
fn report(sink: &mut Sink, work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<()>) -> Result<()> {
    let mut started = false;
    let done = work(&mut |line| {
        started = true;
        // A client that is gone does not stop the work by that.
        let _ = send_line(sink, &line);
    });
    match done {
        Err(failure) if started => {
            let _ = send_line(sink, &Progress::error(failure.to_string()));
            Ok(())
        }
        other => other,
    }
}

/// As [`progress`]; `wanted` is dropped when the client is gone, or at the end.
pub(crate) async fn progress_until_gone(
    wanted: impl Send + 'static,
    work: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<()> + Send + 'static,
) -> Result {
    let (sender, receiver) = mpsc::channel(PIECES);
    let worker = task::spawn_blocking(move || report(&mut Sink { pieces: sender }, work));
    pump(reply::JSON, receiver, worker, Some(wanted)).await
}

/// Sends one line of progress.
pub(crate) fn send_line(sink: &mut Sink, line: &Progress) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    // compat: progress lines end in CR LF.
    text.extend_from_slice(b"\r\n");
    sink.send(Bytes::from(text))
}

async fn pump(
    content_type: &'static str,
    mut pieces: mpsc::Receiver<Bytes>,
    worker: JoinHandle<Result<()>>,
    wanted: Option<impl Send + 'static>,
) -> Result<Response> {
    let Some(first) = pieces.recv().await else {
        joined(worker).await?;
        return Ok(reply::stream(content_type, stream::empty::<io::Result<Bytes>>()));
    };
    let rest = stream::unfold(Some((Some(first), pieces, worker, wanted)), |state| async move {
        let (first, mut pieces, worker, wanted) = state?;
        let piece = match first {
            Some(piece) => Some(piece),
            None if wanted.is_some() => {
                tokio::time::timeout(SILENCE, pieces.recv()).await.unwrap_or(Some(Bytes::from_static(BLANK)))
            }
            None => pieces.recv().await,
        };
        match piece {
            Some(piece) => Some((Ok(piece), Some((None, pieces, worker, wanted)))),
            None => match joined(worker).await {
                Ok(()) => None,
                Err(failure) => {
                    tracing::error!(%failure, "a stream broke off");
                    Some((Err(io::Error::other(failure.to_string())), None))
                }
            },
        }
    });
    Ok(reply::stream(content_type, rest))
}

async fn joined(worker: JoinHandle<Result<()>>) -> Result<()> {
    worker.await.unwrap_or_else(|error| Err(Failure::system(format!("the call broke off: {error}"))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn failure_before_output_is_the_answer() {
        let failed = progress(|_| Err(Failure::invalid("no"))).await;
        assert_eq!(failed.unwrap_err().to_string(), "no");
    }

    #[tokio::test]
    async fn failure_after_output_is_the_last_line() {
        let answer = progress(|report| {
            report(Progress::status("Pulling"));
            Err(Failure::system("cut"))
        });
        assert_eq!(
            text(answer.await.unwrap()).await,
            "{\"status\":\"Pulling\"}\r\n{\"errorDetail\":{\"message\":\"cut\"},\"error\":\"cut\"}\r\n"
        );
    }

    #[tokio::test]
    async fn bytes_come_in_order_and_a_late_failure_breaks_off() {
        let whole = bytes("a/b", |sink| {
            for part in ["one ", "two ", "three"] {
                sink.write_all(part.as_bytes()).unwrap();
            }
            Ok(())
        });
        assert_eq!(text(whole.await.unwrap()).await, "one two three");
        let broken = bytes("a/b", |sink| {
            sink.write_all(b"part").unwrap();
            Err(Failure::system("disk"))
        });
        assert!(broken.await.unwrap().into_body().collect().await.is_err());
    }
}

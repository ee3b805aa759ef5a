//! Streams of HTTP/2. A client takes what is sent by granting a window for each of them: one that does not, while the
//! connection goes on, is seen here only.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::server::reply::Body;

/// Bytes handed over at once: what a client has to take within the limit.
const PIECE: usize = 64 << 10;

tokio::task_local! {
    /// What is owed to the client of the stream that the task is for.
    static OWED: Arc<Owed>;
}

/// Runs the streams of a connection, each in a task of its own. One whose client takes nothing is reset.
#[derive(Clone)]
pub(super) struct Streams {
    limit: Duration,
    count: Arc<watch::Sender<Count>>,
}

#[derive(Default)]
struct Count {
    open: usize,
    /// Ever opened, so that a short one is not missed.
    opened: u64,
}

impl Streams {
    /// None yet. A client has to take something of each within `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, count: Arc::default() }
    }

    /// Waits until there was none for as long as `limit`.
    pub(super) async fn unused(&self, limit: Duration) {
        let mut count = self.count.subscribe();
        loop {
            // The sender lives as long as this.
            let Ok(opened) = count.wait_for(|count| count.open == 0).await.map(|count| count.opened) else {
                return;
            };
            let again = count.wait_for(|count| count.opened != opened);
            if tokio::time::timeout(limit, again).await.is_err() {
                return;
            }
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (owed, opened) = (Arc::new(Owed::default()), Opened::new(&self.count));
        let overdue = owed.clone().overdue(self.limit);
        tokio::spawn(OWED.scope(owed, async move {
            let _opened = opened;
            tokio::select! {
                _ = stream => {}
                // Dropping the stream resets it.
                () = overdue => tracing::debug!("a client does not take what it asked for"),
            }
        }));
    }
}

/// Counts a stream as long as it lives.
struct Opened(Arc<watch::Sender<Count>>);

impl Opened {
    fn new(count: &Arc<watch::Sender<Count>>) -> Self {
        count.send_modify(|count| {
            count.open += 1;
            count.opened += 1;
        });
        Self(count.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.send_modify(|count| count.open -= 1);
    }
}

/// What was handed over and not yet sent.
#[derive(Default)]
struct Owed {
    state: Mutex<Pieces>,
    changed: Notify,
}

#[derive(Default)]
struct Pieces {
    count: usize,
    /// When the last one was sent, or the first handed over; only with some.
    since: Option<Instant>,
    /// Of who waits for there to be none.
    waker: Option<Waker>,
}

impl Owed {
    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        let mut pieces = self.pieces();
        pieces.count += 1;
        if pieces.since.is_none() {
            pieces.since = Some(Instant::now());
            self.changed.notify_one();
        }
        drop(pieces);
        Bytes::from_owner(Piece { bytes, owed: self.clone() })
    }

    fn sent(&self) {
        let mut pieces = self.pieces();
        pieces.count -= 1;
        pieces.since = (pieces.count > 0).then(Instant::now);
        if pieces.count == 0
            && let Some(waker) = pieces.waker.take()
        {
            waker.wake();
        }
    }

    fn poll_none(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut pieces = self.pieces();
        if pieces.count == 0 {
            return Poll::Ready(());
        }
        pieces.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Waits until nothing was sent for as long as `limit`, though there was something.
    async fn overdue(self: Arc<Self>, limit: Duration) {
        loop {
            let since = self.pieces().since;
            match since {
                None => self.changed.notified().await,
                Some(since) => {
                    tokio::time::sleep_until(since + limit).await;
                    if self.pieces().since == Some(since) {
                        return;
                    }
                }
            }
        }
    }
}

/// A part of a body on its way; the connection drops it when it is sent.
struct Piece {
    bytes: Bytes,
    owed: Arc<Owed>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.owed.sent();
    }
}

/// A body of a stream, so that it is seen how its client takes it. To be called in the task of the stream.
pub(super) fn watched(body: Body) -> Body {
    match OWED.try_with(Arc::clone) {
        Ok(owed) => Watched { body, rest: Bytes::new(), owed }.boxed_unsync(),
        Err(_) => body,
    }
}

struct Watched {
    body: Body,
    /// Of a part that is handed over piece by piece.
    rest: Bytes,
    owed: Arc<Owed>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                // Not before all of it is sent: the end of the body is the end of the watch.
                None => return self.owed.poll_none(cx).map(|()| None),
                error => return Poll::Ready(error),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(self.owed.hand_over(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.rest.is_empty() && self.owed.pieces().count == 0
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}

//! Clients' sessions: connections by which the engine calls its client.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use http::HeaderMap;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioExecutor;
use prost::Message;
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Request, Status, Streaming};
use tower::Service;

use super::codec::Prost;
use crate::call::Result;
use crate::failure::Failure;

/// How long a build waits for the session that it names: the client opens both at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of one stream that a client may send ahead.
const WINDOW: u32 = 1 << 20;

/// The longest message of a client, in bytes: a listing of a folder comes entry by entry, contents in small pieces.
const LONGEST: usize = 4 << 20;

/// The sessions that are open.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<String, Arc<Session>>>,
    changed: Notify,
}

/// What a client says about its session when it opens it.
pub(super) struct About {
    id: String,
    shared_key: String,
    methods: HashSet<String>,
}

/// A session: what the client offers, and the way to it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// What identifies the client's folder from one build to the next; empty if nothing does.
    pub(super) shared_key: String,
    /// Makes the files of a folder that nothing identifies new to every session; 0 if something does.
    pub(super) salt: u64,
    /// Paths of the methods that the client serves, in lower case.
    methods: HashSet<String>,
    channel: Channel,
}

impl About {
    /// Reads the headers.
    ///
    /// # Errors
    /// 400 without an id.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self> {
        let text = |name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let id = text("x-docker-expose-session-uuid");
        if id.is_empty() {
            return Err(Failure::invalid("a session needs an id"));
        }
        let methods = headers.get_all("x-docker-expose-session-grpc-method").iter();
        let methods = methods.filter_map(|value| Some(value.to_str().ok()?.to_ascii_lowercase()));
        let shared_key = text("x-docker-expose-session-sharedkey");
        Ok(Self { id, shared_key, methods: methods.collect() })
    }
}

/// Holds a session open until the client ends it.
pub(super) async fn hold<I>(io: I, about: About, sessions: &Sessions)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let shaken = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .handshake(io)
        .await;
    let (sender, connection) = match shaken {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a session could not begin");
            return;
        }
    };
    let About { id, shared_key, methods } = about;
    let salt = if shared_key.is_empty() { RandomState::new().hash_one(&id) } else { 0 };
    let session = Arc::new(Session { shared_key, salt, methods, channel: Channel(sender) });
    sessions.lock().insert(id.clone(), session.clone());
    sessions.changed.notify_waiters();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a session ended early");
    }
    let mut open = sessions.lock();
    // Another may have taken the id.
    if open.get(&id).is_some_and(|current| Arc::ptr_eq(current, &session)) {
        open.remove(&id);
    }
}

impl Sessions {
    /// The session with an id, which may be about to come.
    ///
    /// # Errors
    /// It does not come.
    pub(super) async fn get(&self, id: &str) -> std::result::Result<Arc<Session>, Status> {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if let Some(session) = self.lock().get(id) {
                    return session.clone();
                }
                changed.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.map_err(|_| {
            Status::unavailable(format!("no active session for {id}: context deadline exceeded"))
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Whether the client serves a method, `/service/Method`.
    pub(super) fn offers(&self, method: &str) -> bool {
        self.methods.contains(&method.to_ascii_lowercase())
    }

    /// Calls a method that has one answer.
    ///
    /// # Errors
    /// The client's.
    pub(super) async fn call<Q, R>(&self, method: &'static str, message: Q) -> std::result::Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc();
        ready(&mut grpc).await?;
        let path = PathAndQuery::from_static(method);
        let answer = grpc.unary(Request::new(message), path, Prost::<Q, R>::default()).await?;
        Ok(answer.into_inner())
    }

    /// Calls a method that streams both ways.
    ///
    /// # Errors
    /// The client's.
    pub(super) async fn stream<Q, R>(
        &self,
        method: &'static str,
        messages: Request<impl Stream<Item = Q> + Send + 'static>,
    ) -> std::result::Result<Streaming<R>, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc();
        ready(&mut grpc).await?;
        let path = PathAndQuery::from_static(method);
        let answer = grpc.streaming(messages, path, Prost::<Q, R>::default()).await?;
        Ok(answer.into_inner())
    }

    fn grpc(&self) -> Grpc<Channel> {
        let origin = http::Uri::from_static("http://session");
        Grpc::with_origin(self.channel.clone(), origin).max_decoding_message_size(LONGEST)
    }
}

async fn ready(grpc: &mut Grpc<Channel>) -> std::result::Result<(), Status> {
    grpc.ready().await.map_err(|error| Status::unavailable(format!("the session is gone: {error}")))
}

/// HTTP/2 with a client, as a service.
#[derive(Debug, Clone)]
struct Channel(SendRequest<Body>);

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

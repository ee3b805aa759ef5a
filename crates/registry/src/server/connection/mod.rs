//! Sockets: accepting them, TLS (`tls`), and ending in order.
//!
//! No client can hold on to anything for as long as it likes: greetings and heads have `limits.headertimeout`, and so has a
//! connection that is not used; bodies have to go on within `limits.bodytimeout`, both those that come (`receive`) and those
//! that go (`patient` for a connection, `streams` for each stream of HTTP/2).

mod patient;
mod streams;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::patient::Patient;
use self::streams::Streams;
use super::config::Config;
use super::failure::{Code, Failure};
use super::reply::Body;
use super::router::{self, Face};
use super::{Registry, ServeError, collect};

/// Bytes of a connection's read buffer at most: what a client sends is handed on in parts of this size.
const READ_BUFFER: usize = 128 << 10;
/// What a client of HTTP/2 may send ahead, in one stream and in all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// How long calls may go on after the end was asked for.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted, so that a shortage does not turn into a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a registry until `shutdown` is done, and says by `ready` where it listens.
///
/// # Errors
/// It cannot be started.
pub async fn serve(
    config: Config,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    crate::client::install_crypto();
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let registry = Registry::open(config)?;
    let listener = listen(&registry.config.address).await?;
    let address = listener
        .local_addr()
        .map_err(|source| ServeError::Listen { address: registry.config.address.clone(), source })?;
    let (connections, ending) = (TaskTracker::new(), CancellationToken::new());
    let context = |face, tls| Accepting {
        registry: registry.clone(),
        face,
        tls,
        connections: connections.clone(),
        ending: ending.clone(),
    };
    let mut tasks = vec![tokio::spawn(context(Face::Registry, tls).run(listener))];
    if let Some(address) = &registry.config.debug_address {
        let listener = listen(address).await?;
        tasks.push(tokio::spawn(context(Face::Debug, None).run(listener)));
    }
    tasks.push(tokio::spawn(collect::every_so_often(registry.clone())));
    ready(address);
    shutdown.await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    ending.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::info!(open = connections.len(), "connections are cut off");
    }
    Ok(())
}

async fn listen(address: &str) -> Result<TcpListener, ServeError> {
    let listened = match TcpListener::bind(address).await {
        // A host without IPv6.
        Err(error) if address.starts_with("[::]") && error.raw_os_error() == Some(AFNOSUPPORT) => {
            TcpListener::bind(address.replacen("[::]", "0.0.0.0", 1)).await
        }
        other => other,
    };
    listened.map_err(|source| ServeError::Listen { address: address.to_owned(), source })
}

const AFNOSUPPORT: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();

/// Everything that is needed to take connections.
struct Accepting {
    registry: Arc<Registry>,
    face: Face,
    tls: Option<TlsAcceptor>,
    connections: TaskTracker,
    ending: CancellationToken,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.registry.config.connections));
        let this = Arc::new(self);
        loop {
            // Who finds no place waits in the kernel's queue.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let accepting = this.clone();
                    this.connections.spawn(async move {
                        let _place = place;
                        accepting.take(stream).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a client could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn take(self: Arc<Self>, stream: TcpStream) {
        let _connected = Connected::new(self.registry.clone());
        let _ = stream.set_nodelay(true);
        let limit = self.registry.config.body_timeout;
        let stream = Patient::new(stream, limit);
        let Some(tls) = self.tls.clone() else { return self.speak(stream).await };
        match tokio::time::timeout(self.registry.config.header_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::H2) => {
                self.speak_http2(stream).await;
            }
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
            Err(_) => tracing::debug!("no TLS with a client in time"),
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (registry, face) = (self.registry.clone(), self.face);
        let service = service_fn(move |request| answer(registry.clone(), face, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.registry.config.header_timeout)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        // One that is not used ends by the limit of the next head.
        self.drive(connection, http1::Connection::graceful_shutdown, std::future::pending).await;
    }

    /// HTTP/2, which clients get that ask for it in the greeting of TLS. One that stops answering is left.
    async fn speak_http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (registry, face) = (self.registry.clone(), self.face);
        let service = service_fn(move |request| {
            let answer = answer(registry.clone(), face, request);
            async { answer.await.map(|response| response.map(streams::watched)) }
        });
        let (idle, streams) =
            (self.registry.config.header_timeout, Streams::new(self.registry.config.body_timeout));
        let connection = http2::Builder::new(streams.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(idle)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_connection(TokioIo::new(stream), service);
        self.drive(connection, http2::Connection::graceful_shutdown, || streams.unused(idle)).await;
    }

    /// Serves a connection until its client ends it, or the registry, or it was `unused` for too long.
    async fn drive<C, U>(&self, connection: C, shut_down: impl FnOnce(Pin<&mut C>), unused: impl Fn() -> U)
    where
        C: Future<Output = hyper::Result<()>>,
        U: Future<Output = ()>,
    {
        let mut connection = std::pin::pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = self.ending.cancelled() => {
                shut_down(connection.as_mut());
                connection.await
            }
            () = unused() => {
                shut_down(connection.as_mut());
                tokio::select! {
                    done = connection => done,
                    // It does not take the hint.
                    () = unused() => Ok(()),
                }
            }
        };
        if let Err(error) = done {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Answers in a task of its own: a client that hangs up ends its body, not the work on what came of it.
async fn answer(
    registry: Arc<Registry>,
    face: Face,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let answered = tokio::spawn(router::answer(registry, face, request)).await;
    Ok(answered.unwrap_or_else(|error| {
        tracing::error!(%error, "a request was not answered");
        Failure::new(Code::Unknown, "the registry failed; its log says how").response()
    }))
}

/// Counts a connection as long as it lives.
struct Connected(Arc<Registry>);

impl Connected {
    fn new(registry: Arc<Registry>) -> Self {
        registry.metrics.connected();
        Self(registry)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.metrics.disconnected();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

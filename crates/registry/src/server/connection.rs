//! Sockets: accepting them, TLS, time limits, and ending in order.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{Config, Tls};
use super::failure::{Code, Failure};
use super::reply::Body;
use super::router::{self, Face};
use super::{Registry, ServeError, collect};

/// Bytes of a connection's read buffer at most: what a client sends is handed on in parts of this size.
const READ_BUFFER: usize = 128 << 10;
/// What a client of HTTP/2 may send ahead, in one stream and in all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Name of HTTP/2 in the negotiation of protocols (RFC 9113, section 3.1).
const H2: &[u8] = b"h2";
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
    let tls = config.tls.as_ref().map(acceptor).transpose()?;
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
        let stream = Patient { inner: stream, limit, deadline: None };
        let Some(tls) = self.tls.clone() else { return self.speak(stream).await };
        match tokio::time::timeout(self.registry.config.header_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(H2) => {
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
        self.drive(connection, http1::Connection::graceful_shutdown).await;
    }

    /// HTTP/2, which clients get that ask for it in the greeting of TLS. One that stops answering is left.
    async fn speak_http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (registry, face) = (self.registry.clone(), self.face);
        let service = service_fn(move |request| answer(registry.clone(), face, request));
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(self.registry.config.header_timeout)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_connection(TokioIo::new(stream), service);
        self.drive(connection, http2::Connection::graceful_shutdown).await;
    }

    /// Serves a connection until its client ends it, or the registry.
    async fn drive<C>(&self, connection: C, shut_down: impl FnOnce(Pin<&mut C>))
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut connection = std::pin::pin!(connection);
        let done = tokio::select! {
            done = connection.as_mut() => done,
            () = self.ending.cancelled() => {
                shut_down(connection.as_mut());
                connection.await
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

/// A connection whose client must take what is sent, if slowly.
struct Patient {
    inner: TcpStream,
    limit: Duration,
    /// Runs while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let limit = self.limit;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServeError> {
    let wrong = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        ServeError::Tls(format!("{}: {error}", path.display()))
    };
    let certificates = |path: &std::path::Path| {
        CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(path, &error))
    };
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| wrong(&tls.key, &error))?;
    let builder = rustls::ServerConfig::builder();
    let builder = if tls.client_authorities.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = rustls::RootCertStore::empty();
        for path in &tls.client_authorities {
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| wrong(path, &error))?;
            }
        }
        let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build();
        builder.with_client_cert_verifier(verifier.map_err(|error| ServeError::Tls(error.to_string()))?)
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| wrong(&tls.certificate, &error))?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

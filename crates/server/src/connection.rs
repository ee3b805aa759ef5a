//! Accepting clients and speaking HTTP with them.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::Response;
use crate::listen::{ListenSocket, Listener};
use crate::socket::Socket;

/// How long calls that are being answered may go on after the end was announced.
const DRAIN: Duration = Duration::from_secs(5);

/// Pause after a failed accept: out of descriptors is no reason to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` resolves, then lets calls that are being answered finish.
pub(crate) async fn serve<H, F>(
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
    handler: H,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    let ending = CancellationToken::new();
    let connections = TaskTracker::new();
    let mut accepting = Vec::new();
    for listener in &listeners {
        let acceptor = Acceptor::new(&listener.socket)?;
        accepting.push(tokio::spawn(accept(acceptor, handler.clone(), connections.clone(), ending.clone())));
    }
    shutdown.await;
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    // Removes the socket files before the last calls end, so that a successor can take their place.
    drop(listeners);
    ending.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::info!(open = connections.len(), "connections are cut off");
    }
    Ok(())
}

enum Acceptor {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Acceptor {
    fn new(socket: &ListenSocket) -> io::Result<Acceptor> {
        Ok(match socket {
            ListenSocket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Acceptor::Unix(UnixListener::from_std(socket.try_clone()?)?)
            }
            ListenSocket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                Acceptor::Tcp(TcpListener::from_std(socket.try_clone()?)?)
            }
        })
    }

    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Acceptor::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
            Acceptor::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
        }
    }
}

async fn accept<H, F>(acceptor: Acceptor, handler: H, connections: TaskTracker, ending: CancellationToken)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    loop {
        match acceptor.accept().await {
            Ok(socket) => {
                connections.spawn(speak(socket, handler.clone(), ending.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end, or to the end of its present call once `ending` says so.
pub(crate) async fn speak<H, F>(socket: Socket, handler: H, ending: CancellationToken)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    let connection = http1::Builder::new()
        // A client may finish sending and still want its answer.
        .half_close(true)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(socket), service_fn(handler))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a connection ended early");
    }
}

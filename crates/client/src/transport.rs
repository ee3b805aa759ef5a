//! Connections to the engine.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use crate::{Error, Host, Result};

/// A connected socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Transport {
    /// A unix socket.
    Unix(UnixStream),
    /// A plain TCP connection.
    Tcp(TcpStream),
}

impl Transport {
    /// Connects to the engine; `method` and `url` name the request in error messages.
    pub(crate) async fn connect(host: &Host, method: &str, url: &str) -> Result<Self> {
        let connected = match host {
            Host::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
            Host::Tcp(address) => TcpStream::connect(address).await.and_then(|stream| {
                // Small requests must not wait for the acknowledgement of the one before.
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }),
        };
        connected.map_err(|source| connect_error(host, method, url, source))
    }
}

fn connect_error(host: &Host, method: &str, url: &str, source: io::Error) -> Error {
    match (source.kind(), host) {
        (io::ErrorKind::PermissionDenied, Host::Unix(path)) => {
            let path = path.display().to_string();
            let url = format!("http://{}{url}", path.replace('/', "%2F"));
            let method = capitalised(method);
            Error::Permission { host: host.to_string(), method, url, path }
        }
        // The system's resolver fails without a number.
        (_, Host::Tcp(address)) if source.raw_os_error().is_none() => {
            let name = address.rsplit_once(':').map_or(address.as_str(), |(name, _)| name);
            let method = capitalised(method);
            let text = format!("{method} \"http://{address}{url}\": dial tcp: lookup {name}: no such host");
            Error::Unreachable { message: text }
        }
        _ => Error::Connect { host: host.to_string(), source },
    }
}

/// `Get`, `Post`, as Go's library names methods.
fn capitalised(method: &str) -> String {
    method[..1].to_owned() + &method[1..].to_lowercase()
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Unix($stream) => $call,
            Transport::Tcp($stream) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }

    /// Without this, what is sent would be copied into one piece first.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

/// Bytes of a body that are read at once: the hand-over from the thread that reads a file costs more than small buffers save.
const PART: usize = 1 << 20;

/// A request body that is made while it is sent, such as an archive.
pub struct Upload(UnsyncBoxBody<Bytes, io::Error>);

impl Upload {
    /// A body of the chunks of `stream`; an error in it breaks the request off.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self(UnsyncBoxBody::new(StreamBody::new(stream.map(|chunk| chunk.map(Frame::data)))))
    }

    /// A body of what `reader` yields.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self::stream(tokio_util::io::ReaderStream::with_capacity(reader, PART))
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upload")
    }
}

/// A request body in its three forms.
#[derive(Debug)]
pub(crate) enum Payload {
    Empty,
    Json(Bytes),
    Upload(Upload, &'static str),
}

impl Payload {
    pub(crate) fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Empty => None,
            Self::Json(_) => Some("application/json"),
            Self::Upload(_, kind) => Some(kind),
        }
    }

    /// The same body once more, if it can be sent twice.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Json(bytes) => Some(Self::Json(bytes.clone())),
            Self::Upload(..) => None,
        }
    }

    pub(crate) fn into_body(self) -> Body {
        match self {
            Self::Empty => UnsyncBoxBody::new(Empty::new().map_err(|never| match never {})),
            Self::Json(bytes) => UnsyncBoxBody::new(Full::new(bytes).map_err(|never| match never {})),
            Self::Upload(upload, _) => upload.0,
        }
    }
}

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Opens an HTTP/1.1 connection and lets it run on the current runtime.
pub(crate) async fn open(host: &Host, method: &str, url: &str) -> Result<SendRequest<Body>> {
    let transport = Transport::connect(host, method, url).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(transport)).await?;
    // A broken connection shows up at the request that waits on it.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

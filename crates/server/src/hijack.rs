//! Connections that stop being HTTP: attach and exec.
//!
//! A client that asks for an upgrade gets 101 and the connection itself, with the bytes it sent ahead. Any other
//! client gets a raw answer that ends with the connection; its request body is the input.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderValue, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use wharf_api::stream::{MULTIPLEXED_STREAM, RAW_STREAM};

use crate::call::{Call, Response};
use crate::reply;
use crate::socket::Socket;
use crate::upload::Upload;

/// Read at once from the container's side.
const OUTPUT_BUFFER: usize = 32 * 1024;

/// Read at once from the client's side.
const INPUT_BUFFER: usize = 8 * 1024;

/// How often a client that waits for its container's start is checked for being still there.
const ALIVE_INTERVAL: Duration = Duration::from_millis(250);

/// How long a client that still sends is listened to after the end of its stream.
const LINGER: Duration = Duration::from_secs(2);

/// What to connect a client to. The stream carries exactly what the client gets and sends.
pub(crate) struct Session<F, E> {
    /// Sent before anything of the stream.
    pub(crate) past: Option<mpsc::Receiver<Bytes>>,
    /// Resolves to the stream once there is one; nothing when there never will be.
    pub(crate) stream: F,
    /// Awaited between the end of the output and the end of the connection.
    pub(crate) ended: E,
    /// The output has no frames.
    pub(crate) raw: bool,
}

/// Answers a call with a session.
pub(crate) fn hijack<S, F, E>(mut call: Call<S>, session: Session<F, E>) -> Response
where
    F: Future<Output = Option<UnixStream>> + Send + 'static,
    E: Future<Output = ()> + Send + 'static,
{
    // Clients before 1.42 know only one content type; so do those that did not ask for an upgrade.
    let content_type = match session.raw || !call.since(42) {
        true => RAW_STREAM,
        false => MULTIPLEXED_STREAM,
    };
    let wants_upgrade = call.head.headers.contains_key(header::UPGRADE);
    match call.head.extensions.remove::<OnUpgrade>().filter(|_| wants_upgrade) {
        Some(upgrade) => {
            tokio::spawn(async move {
                match upgrade.await {
                    Ok(upgraded) => serve_upgraded(upgraded, session).await,
                    Err(error) => tracing::debug!(%error, "the client went before its stream began"),
                }
            });
            upgraded(content_type)
        }
        None => raw_answer(call.body.take(), session),
    }
}

/// The 101 that starts a raw stream of some content type.
fn upgraded(content_type: &'static str) -> Response {
    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    response
}

async fn serve_upgraded<F, E>(upgraded: Upgraded, session: Session<F, E>)
where
    F: Future<Output = Option<UnixStream>>,
    E: Future<Output = ()>,
{
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<Socket>>() else {
        tracing::error!("a hijacked connection is of no known kind");
        return;
    };
    let mut client = io.into_inner();
    if let Err(error) = send_past(session.past, &mut client).await {
        tracing::debug!(%error, "a client went while it got past output");
        return;
    }
    let Some(stream) = while_alive(&client, session.stream).await else { return };
    if let Err(error) = join(client, &read_buf, stream, session.ended).await {
        tracing::debug!(%error, "a hijacked connection ended early");
    }
}

async fn send_past(past: Option<mpsc::Receiver<Bytes>>, client: &mut Socket) -> io::Result<()> {
    let Some(mut past) = past else { return Ok(()) };
    while let Some(block) = past.recv().await {
        client.write_all(&block).await?;
    }
    Ok(())
}

/// Awaits the stream, but gives up when the client goes away: a stream opened for a client that is gone would close
/// the container's input.
async fn while_alive<F: Future<Output = Option<UnixStream>>>(
    client: &Socket,
    stream: F,
) -> Option<UnixStream> {
    let mut stream = std::pin::pin!(stream);
    loop {
        tokio::select! {
            biased;
            stream = &mut stream => return stream,
            () = tokio::time::sleep(ALIVE_INTERVAL) => {
                if hung_up(client) {
                    return None;
                }
            }
        }
    }
}

/// Both directions are closed. A client that only finished sending does not count.
fn hung_up(client: &Socket) -> bool {
    let mut fds = [PollFd::new(client, PollFlags::empty())];
    let polled = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Copies both ways. The end of the client's input closes the input of the stream only; the end of the stream ends
/// the connection, whatever the client may still want to send.
async fn join<E: Future<Output = ()>>(
    client: Socket,
    ahead: &[u8],
    stream: UnixStream,
    ended: E,
) -> io::Result<()> {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_stream, to_stream) = stream.into_split();
    let mut from_client = BufReader::with_capacity(INPUT_BUFFER, from_client);
    tokio::select! {
        done = copy_output(from_stream, to_client, ended) => done?,
        done = copy_input(ahead, &mut from_client, to_stream) => done?,
    }
    // Closing a socket with unread input would show the client an error in the place of the end.
    let rest = async { tokio::io::copy_buf(&mut from_client, &mut tokio::io::sink()).await };
    let _ = tokio::time::timeout(LINGER, rest).await;
    Ok(())
}

async fn copy_output<E: Future<Output = ()>>(
    from_stream: OwnedReadHalf,
    mut to_client: WriteHalf<Socket>,
    ended: E,
) -> io::Result<()> {
    let mut from_stream = BufReader::with_capacity(OUTPUT_BUFFER, from_stream);
    tokio::io::copy_buf(&mut from_stream, &mut to_client).await?;
    ended.await;
    to_client.shutdown().await
}

/// Resolves only when the client has gone.
async fn copy_input(
    ahead: &[u8],
    from_client: &mut BufReader<ReadHalf<Socket>>,
    mut to_stream: OwnedWriteHalf,
) -> io::Result<()> {
    let copied = async {
        to_stream.write_all(ahead).await?;
        tokio::io::copy_buf(from_client, &mut to_stream).await?;
        to_stream.shutdown().await
    };
    match copied.await {
        // The container closed its input: what it still writes must arrive.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => std::future::pending().await,
    }
}

/// The answer for clients that did not ask for an upgrade.
fn raw_answer<F, E>(body: Option<Upload>, session: Session<F, E>) -> Response
where
    F: Future<Output = Option<UnixStream>> + Send + 'static,
    E: Future<Output = ()> + Send + 'static,
{
    let (pieces, answer) = mpsc::channel(1);
    tokio::spawn(async move {
        let Session { past, stream, ended, .. } = session;
        if let Some(mut past) = past {
            while let Some(block) = past.recv().await {
                if pieces.send(block).await.is_err() {
                    return;
                }
            }
        }
        let stream = tokio::select! {
            stream = stream => stream,
            () = pieces.closed() => None,
        };
        let Some(stream) = stream else { return };
        let (from_stream, to_stream) = stream.into_split();
        let feeding = tokio::spawn(feed(body, to_stream));
        pass(from_stream, &pieces).await;
        feeding.abort();
        ended.await;
    });
    let bytes = stream::unfold(answer, |mut answer| async move {
        let piece = answer.recv().await?;
        Some((Ok::<_, io::Error>(piece), answer))
    });
    let mut response = reply::stream(RAW_STREAM, bytes);
    // A raw stream has no chunks: with HTTP/1.0 the body ends with the connection.
    *response.version_mut() = Version::HTTP_10;
    response
}

/// Hands the container's output on until it ends or the client is gone.
async fn pass(mut from_stream: OwnedReadHalf, pieces: &mpsc::Sender<Bytes>) {
    loop {
        let mut piece = BytesMut::with_capacity(OUTPUT_BUFFER);
        let read = tokio::select! {
            read = from_stream.read_buf(&mut piece) => read,
            () = pieces.closed() => return,
        };
        match read {
            Ok(0) => return,
            Ok(_) => {
                if pieces.send(piece.freeze()).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a raw answer ended early");
                return;
            }
        }
    }
}

/// Hands a request body on as the container's input; its end closes the input.
async fn feed(body: Option<Upload>, mut to_stream: OwnedWriteHalf) {
    let Some(mut body) = body else { return };
    while let Some(Ok(frame)) = body.frame().await {
        let bytes: Bytes = frame.into_data().unwrap_or_default();
        if to_stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

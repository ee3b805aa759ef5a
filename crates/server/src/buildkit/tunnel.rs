//! A session inside of the other connection: `Control.Session`, whose messages are the bytes of a connection. Clients that
//! share a session among several builds open it so.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use tonic::{Request, Response, Status, Streaming};

use super::connection::Connection;
use super::proto::filesync::BytesMessage;
use super::rpc::Messages;
use super::session::{self, About};

/// Bytes on their way in each direction.
const BUFFER: usize = 64 << 10;

/// Opens a session. It ends with the call.
pub(super) async fn open(
    connection: Arc<Connection>,
    request: Request<Streaming<BytesMessage>>,
) -> Result<Response<Messages<BytesMessage>>, Status> {
    let headers = request.metadata().clone().into_headers();
    let about = About::from_headers(&headers).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let (near, far) = tokio::io::duplex(BUFFER);
    let sessions = connection.sessions.clone();
    tokio::spawn(async move { session::hold(TokioIo::new(near), about, &sessions).await });
    let (from_session, mut to_session) = tokio::io::split(far);
    let mut messages = request.into_inner();
    tokio::spawn(async move {
        while let Ok(Some(message)) = messages.message().await {
            if to_session.write_all(&message.data).await.is_err() {
                break;
            }
        }
        // The session sees the end of its client.
        let _ = to_session.shutdown().await;
    });
    let bytes = ReaderStream::with_capacity(from_session, BUFFER);
    let messages = bytes.map_ok(|bytes: Bytes| BytesMessage { data: bytes.into() });
    Ok(Response::new(messages.map_err(|error| Status::internal(error.to_string())).boxed()))
}

//! The engine's own protocol of builds ([`wharf_api::build`]), as the client that this front is to it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tonic::Status;
use wharf_api::build::{Frame, HEAD};

/// Where frames for the engine go.
pub(super) type Frames = mpsc::Sender<Vec<u8>>;

/// Where parts of an answer to one question go.
pub(super) struct Answer<'a> {
    pub(super) frames: &'a Frames,
    /// Number of the question.
    pub(super) id: u32,
}

impl Answer<'_> {
    /// Sends a part.
    ///
    /// # Errors
    /// The build is over.
    pub(super) async fn send(&self, part: &[u8]) -> Result<(), Status> {
        if part.is_empty() {
            return Ok(());
        }
        let frame = Frame::numbered(Frame::DATA, self.id, part);
        self.frames.send(frame).await.map_err(|_| Status::cancelled("the build is over"))
    }
}

/// Writes frames to the engine as they come. The engine takes the end of the stream as the end of its client, so it is
/// held open until nobody can send any more.
pub(super) fn writer(mut engine: OwnedWriteHalf) -> Frames {
    let (frames, mut outgoing) = mpsc::channel::<Vec<u8>>(8);
    tokio::spawn(async move {
        while let Some(frame) = outgoing.recv().await {
            // An engine that has ended the build wants no more answers.
            if engine.write_all(&frame).await.is_err() {
                break;
            }
        }
    });
    frames
}

/// The next frame; `None` at the end of the stream. Not to be dropped half-way.
///
/// # Errors
/// The stream breaks off.
pub(super) async fn read(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD];
    match input.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let (kind, length) = Frame::parse_head(head).ok_or(io::ErrorKind::InvalidData)?;
    let mut payload = vec![0; length];
    input.read_exact(&mut payload).await?;
    Ok(Some(Frame { kind, payload }))
}

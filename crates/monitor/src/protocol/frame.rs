//! Frames: a big-endian `u32` length, then that many bytes of JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::VERSION;
use super::message::Message;
use crate::error::{Error, Result};

/// The largest body a frame may have, in bytes. An exec request carries a whole argument vector and environment, which
/// the kernel limits to 2 MiB by default.
pub const MAX_FRAME: usize = 8 << 20;

const HEADER: usize = 4;

/// Encodes one message as a frame.
///
/// # Errors
/// [`Error::Frame`] when the body would exceed [`MAX_FRAME`].
pub fn encode<T: Serialize>(body: &T) -> Result<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    let message = Message { v: VERSION, body };
    serde_json::to_writer(&mut frame, &message).map_err(|e| Error::Frame { reason: e.to_string() })?;
    let length = frame.len() - HEADER;
    if length > MAX_FRAME {
        return Err(Error::Frame { reason: format!("{length} bytes exceed the limit of {MAX_FRAME}") });
    }
    frame[..HEADER].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame)
}

/// Cuts a byte stream into messages, whatever pieces it arrives in.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    broken: bool,
}

impl FrameDecoder {
    /// An empty decoder.
    #[must_use]
    pub fn new() -> FrameDecoder {
        FrameDecoder::default()
    }

    /// Adds bytes as they were read from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete message, `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`Error::Frame`] when the length exceeds [`MAX_FRAME`] or the body is not a message of type `T`. After the former
    /// the stream cannot be used any more; after the latter the bad frame has been skipped.
    pub fn message<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_be_bytes(*header) as usize;
        if length > MAX_FRAME {
            self.broken = true;
            return Err(Error::Frame { reason: format!("{length} bytes exceed the limit of {MAX_FRAME}") });
        }
        let Some(body) = self.buffer.get(HEADER..HEADER + length) else { return Ok(None) };
        let message = serde_json::from_slice::<Message<T>>(body);
        self.buffer.drain(..HEADER + length);
        message.map(|m| Some(m.body)).map_err(|e| Error::Frame { reason: e.to_string() })
    }

    /// Whether the stream cannot be used any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The bytes behind the last complete frame. A stream that follows a reply begins with them.
    #[must_use]
    pub fn into_rest(self) -> Vec<u8> {
        self.buffer
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::{Reply, Request};

    #[test]
    fn frames_survive_any_split() {
        let mut bytes = encode(&Request::Kill { signal: 15, all: false }).unwrap();
        bytes.extend(encode(&Request::Start).unwrap());
        bytes.extend(b"rest");
        for step in 1..bytes.len() {
            let mut decoder = FrameDecoder::new();
            let mut seen = Vec::new();
            for piece in bytes.chunks(step) {
                decoder.push(piece);
                while seen.len() < 2 {
                    let Some(request) = decoder.message::<Request>().unwrap() else { break };
                    seen.push(request);
                }
            }
            assert_eq!(seen, [Request::Kill { signal: 15, all: false }, Request::Start], "step {step}");
            assert_eq!(decoder.into_rest(), b"rest", "step {step}");
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_body_arrives() {
        let mut decoder = FrameDecoder::new();
        decoder.push(&(MAX_FRAME as u32 + 1).to_be_bytes());
        assert!(decoder.message::<Reply>().unwrap_err().to_string().contains("exceed the limit"));
    }

    #[test]
    fn a_bad_body_is_skipped() {
        let mut decoder = FrameDecoder::new();
        decoder.push(&[0, 0, 0, 2, b'[', b']']);
        decoder.push(&encode(&Reply::Ok).unwrap());
        decoder.message::<Reply>().unwrap_err();
        assert_eq!(decoder.message::<Reply>().unwrap(), Some(Reply::Ok));
    }
}

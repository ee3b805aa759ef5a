//! The 8-byte frames in which standard output and error share a connection (attach, exec, logs).

/// `Content-Type` of a stream without frames.
pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";

/// `Content-Type` of a stream of frames, from API 1.42.
pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

/// Bytes of a [`Header`].
pub const HEADER_LEN: usize = 8;

/// Which stream a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamKind {
    /// Standard input; only ever echoed.
    Stdin = 0,
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// An error of the engine itself, as text.
    SystemError = 3,
}

/// Head of a frame: kind, three zero bytes, big-endian length of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which stream.
    pub kind: StreamKind,
    /// Bytes of payload that follow.
    pub len: u32,
}

/// The first byte of a frame names no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Unrecognized input header: {0}")]
pub struct BadHeader(pub u8);

impl Header {
    /// The head as it is sent.
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let len = self.len.to_be_bytes();
        [self.kind as u8, 0, 0, 0, len[0], len[1], len[2], len[3]]
    }

    /// Reads a head.
    ///
    /// # Errors
    /// The first byte is above 3.
    pub const fn decode(bytes: [u8; HEADER_LEN]) -> Result<Header, BadHeader> {
        let kind = match bytes[0] {
            0 => StreamKind::Stdin,
            1 => StreamKind::Stdout,
            2 => StreamKind::Stderr,
            3 => StreamKind::SystemError,
            other => return Err(BadHeader(other)),
        };
        Ok(Header { kind, len: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) })
    }
}

/// A whole frame. Payloads beyond 4 GiB do not fit one frame and are cut into several.
pub fn frame(kind: StreamKind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + payload.len());
    for part in payload.chunks(u32::MAX as usize) {
        out.extend_from_slice(&Header { kind, len: part.len() as u32 }.encode());
        out.extend_from_slice(part);
    }
    out
}

/// Takes frames out of a byte stream that arrives in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    head: [u8; HEADER_LEN],
    have: usize,
    current: Option<(StreamKind, usize)>,
}

impl Decoder {
    /// Consumes the whole input and hands each piece of payload to `sink` as soon as it is there; a frame may come
    /// in several pieces, the rest of an unfinished head or frame is remembered.
    ///
    /// # Errors
    /// A head names no stream; what follows makes no sense any more.
    pub fn feed(
        &mut self,
        mut input: &[u8],
        mut sink: impl FnMut(StreamKind, &[u8]),
    ) -> Result<(), BadHeader> {
        while !input.is_empty() {
            match self.current {
                Some((kind, left)) => {
                    let (now, rest) = input.split_at(left.min(input.len()));
                    sink(kind, now);
                    input = rest;
                    self.current = (left > now.len()).then_some((kind, left - now.len()));
                }
                None => {
                    let take = (HEADER_LEN - self.have).min(input.len());
                    let (now, rest) = input.split_at(take);
                    self.head[self.have..self.have + take].copy_from_slice(now);
                    self.have += take;
                    input = rest;
                    if self.have == HEADER_LEN {
                        let header = Header::decode(self.head)?;
                        self.have = 0;
                        self.current = (header.len > 0).then_some((header.kind, header.len as usize));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn header_is_big_endian() {
        let bytes = Header { kind: StreamKind::Stderr, len: 0x0102_0304 }.encode();
        assert_eq!(bytes, [2, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(Header::decode(bytes).unwrap(), Header { kind: StreamKind::Stderr, len: 0x0102_0304 });
        assert_eq!(
            Header::decode([9, 0, 0, 0, 0, 0, 0, 0]).unwrap_err().to_string(),
            "Unrecognized input header: 9"
        );
    }

    #[test]
    fn decoder_survives_any_cut() {
        let mut wire = frame(StreamKind::Stdout, b"one");
        wire.extend(frame(StreamKind::Stderr, b""));
        wire.extend(Header { kind: StreamKind::Stdout, len: 0 }.encode());
        wire.extend(frame(StreamKind::Stderr, b"two!"));
        for size in 1..=wire.len() {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut decoder = Decoder::default();
            for piece in wire.chunks(size) {
                decoder
                    .feed(piece, |kind, bytes| match kind {
                        StreamKind::Stdout => out.extend_from_slice(bytes),
                        _ => err.extend_from_slice(bytes),
                    })
                    .unwrap();
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"one"[..], &b"two!"[..]), "pieces of {size}");
        }
    }
}

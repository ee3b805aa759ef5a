//! Taking apart the multiplexed form of output: frames of an 8-byte header and a payload.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use wharf_api::stream::{HEADER_LEN, Header, StreamKind};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// Reads output in either form and says where each piece belongs.
#[derive(Debug)]
pub struct Demux<R> {
    reader: R,
    buffer: BytesMut,
    multiplexed: bool,
    /// What is left of the current frame.
    frame: usize,
    kind: StreamKind,
}

impl<R: AsyncRead + Unpin> Demux<R> {
    /// Reads `reader`, in frames if `multiplexed`, else as it is.
    pub fn new(reader: R, multiplexed: bool) -> Self {
        Self { reader, buffer: BytesMut::new(), multiplexed, frame: 0, kind: StreamKind::Stdout }
    }

    /// The next piece of output, never empty; `None` at the end. A cancelled call loses nothing.
    ///
    /// # Errors
    /// If the connection breaks or a frame names an unknown stream.
    pub async fn next(&mut self) -> io::Result<Option<(StreamKind, Bytes)>> {
        loop {
            if let Some(piece) = self.piece()? {
                return Ok(Some(piece));
            }
            self.buffer.reserve(CHUNK);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn piece(&mut self) -> io::Result<Option<(StreamKind, Bytes)>> {
        if !self.multiplexed {
            let all = self.buffer.split().freeze();
            return Ok((!all.is_empty()).then_some((StreamKind::Stdout, all)));
        }
        while self.frame == 0 {
            if self.buffer.len() < HEADER_LEN {
                return Ok(None);
            }
            let mut head = [0; HEADER_LEN];
            self.buffer.copy_to_slice(&mut head);
            let header =
                Header::decode(head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.kind = header.kind;
            self.frame = header.len as usize;
        }
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let length = self.frame.min(self.buffer.len());
        self.frame -= length;
        Ok(Some((self.kind, self.buffer.split_to(length).freeze())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![kind, 0, 0, 0];
        frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    async fn read(chunks: Vec<&[u8]>, multiplexed: bool) -> io::Result<(String, String)> {
        let mut builder = tokio_test_io(chunks);
        let mut demux = Demux::new(&mut builder, multiplexed);
        let (mut out, mut err) = (String::new(), String::new());
        while let Some((stream, bytes)) = demux.next().await? {
            let text = std::str::from_utf8(&bytes).unwrap();
            match stream {
                StreamKind::Stdout => out.push_str(text),
                _ => err.push_str(text),
            }
        }
        Ok((out, err))
    }

    /// A reader that yields exactly these chunks, one per call.
    fn tokio_test_io(chunks: Vec<&[u8]>) -> impl AsyncRead + Unpin {
        let chunks: Vec<_> = chunks.into_iter().map(|c| io::Result::Ok(Bytes::copy_from_slice(c))).collect();
        tokio_util::io::StreamReader::new(futures_util::stream::iter(chunks))
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn frames_are_told_apart_however_they_are_cut() {
        let mut all = frame(1, b"out");
        all.extend(frame(2, b"error"));
        all.extend(frame(1, b""));
        all.extend(frame(1, b"more"));
        for size in 1..all.len() {
            let (out, err) = block_on(read(all.chunks(size).collect(), true)).unwrap();
            assert_eq!((out.as_str(), err.as_str()), ("outmore", "error"), "chunks of {size}");
        }
    }

    #[test]
    fn raw_output_passes_unchanged() {
        assert_eq!(block_on(read(vec![b"a", b"b"], false)).unwrap().0, "ab");
    }

    #[test]
    fn unknown_streams_are_refused() {
        let error = block_on(read(vec![&frame(9, b"x")], true)).unwrap_err();
        assert_eq!(error.to_string(), "Unrecognized input header: 9");
    }
}

//! Bodies that arrive while they are read.

use std::{
    io,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, ReadBuf};

use crate::Result;

/// A body of bytes: an archive, a log.
#[derive(Debug)]
pub struct ByteStream {
    body: Incoming,
    rest: Bytes,
}

impl ByteStream {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, rest: Bytes::new() }
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.rest.has_remaining() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Everything up to the end.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn read_all(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            return match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(io::Error::other(error)))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Poll::Ready(Some(Ok(data))),
                    Err(_) => continue,
                },
            };
        }
    }
}

impl Stream for ByteStream {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.rest.has_remaining() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.rest))));
        }
        this.poll_chunk(cx)
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while !this.rest.has_remaining() {
            match this.poll_chunk(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(chunk)) => this.rest = chunk?,
            }
        }
        let length = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

/// A body of JSON documents one after the other: progress, events, stats.
#[derive(Debug)]
pub struct JsonLines<T> {
    bytes: ByteStream,
    buffer: BytesMut,
    documents: PhantomData<fn() -> T>,
}

impl<T> JsonLines<T> {
    pub(crate) fn new(bytes: ByteStream) -> Self {
        Self { bytes, buffer: BytesMut::new(), documents: PhantomData }
    }
}

impl<T: DeserializeOwned> JsonLines<T> {
    /// The next document; `None` at the end.
    ///
    /// # Errors
    /// If the connection breaks or a document is malformed.
    pub async fn next(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(document) = take(&mut self.buffer)? {
                return Ok(Some(document));
            }
            match self.bytes.next().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => {
                    let document = serde_json::from_slice(&self.buffer)?;
                    self.buffer.clear();
                    return Ok(Some(document));
                }
            }
        }
    }
}

/// Takes one complete document off the front of the buffer. Documents need no newline between them.
fn take<T: DeserializeOwned>(buffer: &mut BytesMut) -> Result<Option<T>> {
    let mut documents = serde_json::Deserializer::from_slice(buffer).into_iter();
    let next = documents.next();
    let read = documents.byte_offset();
    match next {
        Some(Ok(document)) => {
            buffer.advance(read);
            Ok(Some(document))
        }
        Some(Err(error)) if !error.is_eof() => Err(error.into()),
        _ => Ok(None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn documents_arrive_whole_however_they_are_cut() {
        let mut buffer = BytesMut::from("{\"a\":1}\r\n{\"b\":[2,");
        assert_eq!(take::<Value>(&mut buffer).unwrap(), Some(json!({"a": 1})));
        assert_eq!(take::<Value>(&mut buffer).unwrap(), None);
        buffer.extend_from_slice(b"3]}{\"c\":4}\n");
        assert_eq!(take::<Value>(&mut buffer).unwrap(), Some(json!({"b": [2, 3]})));
        assert_eq!(take::<Value>(&mut buffer).unwrap(), Some(json!({"c": 4})));
        assert_eq!(take::<Value>(&mut buffer).unwrap(), None);
        buffer.extend_from_slice(b"nonsense");
        assert!(take::<Value>(&mut buffer).is_err());
    }
}

//! Reading and removing blobs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;
use wharf_oci::Digest;

use super::call::Call;
use super::failure::{Code, Result};
use super::name::Name;
use super::range::{Wanted, wanted};
use super::reply::{self, Body};
use super::storage::Reader;
use super::{Registry, blocking};

/// Bytes read at once. One part is read while the one before is sent.
const PART: usize = 256 << 10;

/// `GET` and `HEAD /v2/NAME/blobs/DIGEST`.
pub(crate) async fn get(call: &Call, name: Name, digest: Digest) -> Result<Response<Body>> {
    let (store, wanted) = (call.registry.store.clone(), digest.clone());
    let repository = name.clone();
    let config = &call.registry.config;
    // Clients ask in this way whether they need to push: a yes has to hold until their manifest comes.
    let keep = (call.method == Method::HEAD && !config.read_only).then_some(config.collect.grace / 2);
    let opened = blocking::run(move || {
        if let Some(since) = keep
            && let Err(failure) = store.keep(&repository, &wanted, since)
        {
            // It is there all the same.
            tracing::debug!(reason = failure.message(), "a blob cannot be kept");
        }
        store.open_blob(&repository, &wanted)
    })
    .await;
    match (opened, call.registry.upstreams.find(&name)) {
        (Ok(reader), _) => Ok(serve(call, &digest, reader.into())),
        (Err(failure), Some(upstream)) if failure.code() == Code::BlobUnknown => {
            upstream.blob(call, &name, &digest).await
        }
        (Err(failure), _) => Err(failure),
    }
}

/// `DELETE /v2/NAME/blobs/DIGEST`.
pub(crate) async fn delete(call: &Call, name: Name, digest: Digest) -> Result<Response<Body>> {
    let store = call.registry.store.clone();
    blocking::run(move || store.unlink_blob(&name, &digest)).await?;
    Ok(reply::empty(StatusCode::ACCEPTED))
}

/// The answer with a blob, or the part of it that is asked for.
pub(crate) fn serve(call: &Call, digest: &Digest, reader: Arc<dyn Reader>) -> Response<Body> {
    if let Some(response) = reply::unchanged(call, digest) {
        return response;
    }
    let (etag, size) = (reply::etag(digest), reader.size());
    // A range of anything but GET is to be ignored (RFC 9110, section 14.2).
    let ranged = call.method == Method::GET && call.header(IF_RANGE).is_none_or(|tag| tag == etag);
    let range = call.header(RANGE).filter(|_| ranged);
    let (status, start, end) = match wanted(range, size) {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Unsatisfiable => {
            let mut response = reply::empty(StatusCode::RANGE_NOT_SATISFIABLE);
            reply::set(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let body = match call.method {
        Method::HEAD => reply::full(Bytes::new()),
        _ => Parts::new(call.registry.clone(), reader, start, end).boxed_unsync(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    reply::set(headers, CONTENT_LENGTH, &(end - start).to_string());
    reply::set(headers, CONTENT_TYPE, "application/octet-stream");
    reply::set(headers, ACCEPT_RANGES, "bytes");
    reply::set(headers, CACHE_CONTROL, "max-age=31536000");
    reply::set(headers, ETAG, &etag);
    reply::set(headers, reply::DIGEST, digest.as_str());
    if status == StatusCode::PARTIAL_CONTENT {
        reply::set(headers, CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
    }
    response
}

/// A file as a body.
struct Parts {
    registry: Arc<Registry>,
    reader: Arc<dyn Reader>,
    /// Next byte to read.
    offset: u64,
    /// Next byte to hand out.
    sent: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// Buffers that were sent come back here, so that none is made (and faulted in) twice.
    used: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
}

/// A part on its way to the client; its buffer goes back afterwards.
struct Part {
    buffer: Vec<u8>,
    back: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // At the end nobody wants it any more.
        let _ = self.back.send(std::mem::take(&mut self.buffer));
    }
}

impl Parts {
    fn new(registry: Arc<Registry>, reader: Arc<dyn Reader>, start: u64, end: u64) -> Self {
        Self { registry, reader, offset: start, sent: start, end, reading: None, used: channel() }
    }

    /// A buffer for the next part; empty at the end.
    fn buffer(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.end - self.offset).unwrap_or(PART).min(PART);
        let mut buffer = self.used.1.try_recv().unwrap_or_else(|_| Vec::with_capacity(length));
        buffer.resize(length, 0);
        buffer
    }

    /// What is in memory needs no other thread.
    fn take_now(&mut self) -> Option<Bytes> {
        let mut buffer = self.buffer();
        match self.reader.read_now(self.offset, &mut buffer) {
            Some(read) => {
                buffer.truncate(read);
                self.offset += read as u64;
                Some(self.hand_out(buffer))
            }
            None => {
                let _ = self.used.0.send(buffer);
                None
            }
        }
    }

    fn hand_out(&mut self, buffer: Vec<u8>) -> Bytes {
        self.sent += buffer.len() as u64;
        self.registry.metrics.sent(buffer.len() as u64);
        Bytes::from_owner(Part { buffer, back: self.used.0.clone() })
    }

    fn read_ahead(&mut self) {
        let buffer = self.buffer();
        if buffer.is_empty() {
            return;
        }
        let (reader, offset) = (self.reader.clone(), self.offset);
        self.offset += buffer.len() as u64;
        self.reading = Some(blocking::spawn(move || read_exactly(&*reader, offset, buffer)));
    }
}

fn read_exactly(reader: &dyn Reader, offset: u64, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut have = 0;
    while have < buffer.len() {
        match reader.read_at(offset + have as u64, &mut buffer[have..])? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the blob became shorter")),
            read => have += read,
        }
    }
    Ok(buffer)
}

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.reading.is_none() {
            if let Some(data) = self.take_now() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            self.read_ahead();
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let data = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten();
        self.reading = None;
        let data = data.inspect_err(|error| tracing::error!(%error, "a blob cannot be read"))?;
        let data = self.hand_out(data);
        self.read_ahead();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.sent)
    }
}

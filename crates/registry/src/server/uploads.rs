//! Pushing blobs: at once, in one stream, in chunks, resumed, or by mounting from another repository.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use wharf_oci::{Algorithm, Digest, Hasher};

use super::call::Call;
use super::failure::{Code, Failure, Result};
use super::name::Name;
use super::receive::{Receiver, Sink, drain};
use super::reply::{self, Body};
use super::route::parse_digest;
use super::session::{Progress, Session, Turn};
use super::storage::Writer;
use super::store::Store;
use super::{Registry, blocking, layout, range};

/// `OCI-Chunk-Min-Length`: any length will do.
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// `POST /v2/NAME/blobs/uploads/`.
pub(crate) async fn start(call: &Call, body: &mut Incoming, name: Name) -> Result<Response<Body>> {
    if let Some(digest) = call.query("mount")
        && let Ok(digest) = Digest::parse(&digest)
        && let Some(from) = call.query("from").and_then(|from| Name::parse(&from))
        && call.may_pull(&from).await
    {
        let (store, to, blob) = (call.registry.store.clone(), name.clone(), digest.clone());
        if blocking::run(move || store.mount(&from, &to, &blob)).await? {
            call.registry.metrics.mounted();
            return Ok(created(call, &name, &digest));
        }
    }
    let digest = call.query("digest").map(|digest| parse_digest(&digest)).transpose()?;
    let id = begin(call, &name).await?;
    match digest {
        None => {
            drain(body).await;
            Ok(progress(call, StatusCode::ACCEPTED, &name, &id, 0))
        }
        Some(digest) => {
            let pushed = finish_with(call, body, &name, &id, &digest).await;
            if pushed.is_err() {
                // Nobody knows where to go on.
                cancel(call, &name, &id).await;
            }
            pushed
        }
    }
}

/// `GET /v2/NAME/blobs/uploads/ID`.
pub(crate) async fn status(call: &Call, name: Name, id: String) -> Result<Response<Body>> {
    let session = find(call, &name, &id).await?;
    if !session.is_counted() {
        let mut turn = session.turn().await;
        counted(call, &name, &id, &mut turn).await?;
    }
    Ok(progress(call, StatusCode::NO_CONTENT, &name, &id, session.stored()))
}

/// `PATCH /v2/NAME/blobs/uploads/ID`.
pub(crate) async fn append(
    call: &Call,
    body: &mut Incoming,
    name: Name,
    id: String,
) -> Result<Response<Body>> {
    let session = find(call, &name, &id).await?;
    let mut turn = session.turn().await;
    receive(call, body, &name, &id, &mut turn).await?;
    Ok(progress(call, StatusCode::ACCEPTED, &name, &id, session.stored()))
}

/// `PUT /v2/NAME/blobs/uploads/ID?digest=`.
pub(crate) async fn finish(
    call: &Call,
    body: &mut Incoming,
    name: Name,
    id: String,
) -> Result<Response<Body>> {
    let Some(digest) = call.query("digest") else {
        return Err(Failure::new(Code::DigestInvalid, "the digest of the blob is missing"));
    };
    let digest = parse_digest(&digest)?;
    finish_with(call, body, &name, &id, &digest).await
}

/// `DELETE /v2/NAME/blobs/uploads/ID`.
pub(crate) async fn abandon(call: &Call, name: Name, id: String) -> Result<Response<Body>> {
    let session = find(call, &name, &id).await?;
    let _turn = session.turn().await;
    cancel(call, &name, &id).await;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

async fn begin(call: &Call, name: &Name) -> Result<String> {
    let id = new_id()?;
    call.registry.sessions.get(name, &id).begun().await;
    let (store, repository, upload) = (call.registry.store.clone(), name.clone(), id.clone());
    let made = blocking::run(move || {
        let started = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // An upload need not outlive a power failure, so nothing is synced here.
        let mut file = store.storage.create(&layout::upload_started(&repository, &upload))?;
        file.append(started.as_bytes())?;
        store.storage.create(&layout::upload_data(&repository, &upload))?;
        Ok(())
    })
    .await;
    if made.is_err() {
        cancel(call, name, &id).await;
    }
    made.map(|()| id)
}

/// The session of an upload that exists.
async fn find(call: &Call, name: &Name, id: &str) -> Result<Arc<Session>> {
    let (store, key) = (call.registry.store.clone(), layout::upload_data(name, id));
    let started = layout::upload_started(name, id);
    let there = is_id(id)
        && blocking::run(move || {
            // The reference registry makes the file of the bytes with the first of them.
            Ok(store.storage.stat(&key)?.is_some() || store.storage.stat(&started)?.is_some())
        })
        .await?;
    if !there {
        return Err(unknown(id));
    }
    Ok(call.registry.sessions.get(name, id))
}

fn unknown(id: &str) -> Failure {
    Failure::new(Code::BlobUploadUnknown, "blob upload unknown to registry")
        .detail(serde_json::json!({"upload": id}))
}

/// How far an upload is: from the bytes themselves after a restart, or if another process went on with it.
async fn counted(call: &Call, name: &Name, id: &str, turn: &mut Turn<'_>) -> Result<Progress> {
    if turn.is_over() {
        return Err(unknown(id));
    }
    let (store, key, known) =
        (call.registry.store.clone(), layout::upload_data(name, id), turn.progress.clone());
    let progress = blocking::run(move || {
        let stored = store.storage.stat(&key)?.map_or(0, |stat| stat.size);
        match known {
            Some(known) if known.offset == stored => Ok(known),
            _ if stored == 0 => Ok(Progress { hasher: Hasher::sha256(), offset: 0 }),
            _ => {
                let (hasher, offset) = store.rehash(&key, Algorithm::Sha256)?;
                Ok(Progress { hasher, offset })
            }
        }
    })
    .await?;
    turn.store(progress.clone());
    Ok(progress)
}

/// Appends a body. On failure of the storage the upload is gone; on any other what came is kept, so that the client can
/// go on, unless the chunk was wrong in itself.
async fn receive(
    call: &Call,
    body: &mut Incoming,
    name: &Name,
    id: &str,
    turn: &mut Turn<'_>,
) -> Result<Progress> {
    let progress = counted(call, name, id, turn).await?;
    let limit = match chunk_length(&call.headers, progress.offset) {
        Ok(limit) => limit,
        Err(failure) => return Err(with_place(call, failure, name, id, progress.offset)),
    };
    if hyper::body::Body::is_end_stream(body) {
        return Ok(progress);
    }
    let (store, key) = (call.registry.store.clone(), layout::upload_data(name, id));
    let upload = id.to_owned();
    let writer = blocking::run(move || open(&store, &key, &upload)).await?;
    let interrupted = turn.interrupted.clone();
    let receiver = Receiver {
        stall: call.registry.config.body_timeout,
        interrupted: &interrupted,
        metrics: &call.registry.metrics,
        limit,
    };
    call.reads_body();
    // Should this request be dropped in between, the next one counts anew.
    *turn.progress = None;
    let received = receiver.receive(body, Sink { writer, progress: progress.clone() }).await;
    let Some(mut sink) = received.sink else {
        cancel(call, name, id).await;
        return Err(received.failure.unwrap_or_else(|| Failure::new(Code::Unknown, "the upload failed")));
    };
    let refused = received.failure.as_ref().is_some_and(|failure| failure.code() == Code::SizeInvalid);
    let short = limit.is_some_and(|limit| sink.progress.offset - progress.offset < limit);
    if refused {
        let start = progress.offset;
        sink = blocking::run(move || {
            sink.writer.truncate(start)?;
            Ok(Sink { progress, ..sink })
        })
        .await?;
    }
    turn.store(sink.progress.clone());
    match received.failure {
        Some(failure) => Err(with_place(call, failure, name, id, sink.progress.offset)),
        None if short => {
            let failure = Failure::new(Code::SizeInvalid, "the chunk is shorter than its Content-Range says");
            Err(with_place(call, failure, name, id, sink.progress.offset))
        }
        None => Ok(sink.progress),
    }
}

/// Opens the file of an upload, unless a collection removed it in the meantime.
fn open(store: &Store, key: &str, id: &str) -> Result<Box<dyn Writer>> {
    store.storage.append(key).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unknown(id),
        _ => error.into(),
    })
}

async fn finish_with(
    call: &Call,
    body: &mut Incoming,
    name: &Name,
    id: &str,
    digest: &Digest,
) -> Result<Response<Body>> {
    let session = find(call, name, id).await?;
    let mut turn = session.turn().await;
    let progress = receive(call, body, name, id, &mut turn).await?;
    let (store, key) = (call.registry.store.clone(), layout::upload_data(name, id));
    let (repository, wanted, upload) = (name.clone(), digest.clone(), id.to_owned());
    let stored = blocking::run(move || {
        let found = match wanted.algorithm() {
            Algorithm::Sha256 => progress.hasher.clone().finish(),
            other => store.rehash(&key, other)?.0.finish(),
        };
        if found != wanted {
            let detail = serde_json::json!({"digest": wanted, "uploaded": found, "size": progress.offset});
            return Err(Failure::new(Code::DigestInvalid, "provided digest did not match uploaded content")
                .detail(detail));
        }
        open(&store, &key, &upload)?.sync()?;
        store.put_blob(&repository, &wanted, &key, progress.offset)
    })
    .await;
    // Done or not, the upload is over: a wrong digest means that the bytes are wrong.
    cancel(call, name, id).await;
    stored?;
    Ok(created(call, name, digest))
}

/// Ends an upload and gives its space back.
async fn cancel(call: &Call, name: &Name, id: &str) {
    remove(&call.registry, name, id).await;
    call.registry.sessions.forget(name, id);
}

/// Gives the space of an upload back.
pub(super) async fn remove(registry: &Registry, name: &Name, id: &str) {
    let (store, folder) = (registry.store.clone(), layout::upload(name, id));
    let removed = blocking::run(move || Ok(store.storage.remove(&folder)?)).await;
    if let Err(failure) = removed {
        tracing::warn!(upload = id, reason = failure.message(), "an upload cannot be removed");
    }
}

/// How many bytes a request may append by its headers, if they say.
fn chunk_length(headers: &HeaderMap, offset: u64) -> Result<Option<u64>> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(header) = text(CONTENT_RANGE) else { return Ok(None) };
    let Some((start, end)) = range::chunk(header) else {
        // What an empty last chunk looks like; there is nothing to check.
        if text(CONTENT_LENGTH) == Some("0") {
            return Ok(None);
        }
        return Err(Failure::new(Code::BlobUploadInvalid, format!("malformed Content-Range {header:?}"))
            .status(StatusCode::RANGE_NOT_SATISFIABLE));
    };
    if start != offset {
        let message = format!("the chunk starts at {start}, but {offset} bytes are here");
        return Err(Failure::new(Code::BlobUploadInvalid, message).status(StatusCode::RANGE_NOT_SATISFIABLE));
    }
    if let Some(length) = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok())
        && length != end - start
    {
        let message = format!("Content-Range {header:?} and Content-Length {length} contradict each other");
        return Err(Failure::new(Code::SizeInvalid, message));
    }
    Ok(Some(end - start))
}

/// Tells a client that has to go on where to.
fn with_place(call: &Call, failure: Failure, name: &Name, id: &str, offset: u64) -> Failure {
    let place = progress(call, StatusCode::ACCEPTED, name, id, offset);
    [LOCATION, RANGE].into_iter().fold(failure, |failure, header| match place.headers().get(&header) {
        Some(value) => failure.header(header, value.clone()),
        None => failure,
    })
}

/// The answer that says how far an upload is.
fn progress(call: &Call, status: StatusCode, name: &Name, id: &str, offset: u64) -> Response<Body> {
    let mut response = reply::empty(status);
    let headers = response.headers_mut();
    reply::set(headers, LOCATION, &call.location(&format!("/v2/{name}/blobs/uploads/{id}")));
    // compat: nothing is "0-0" as one byte is, because clients read this header with two numbers in it.
    reply::set(headers, RANGE, &format!("0-{}", offset.saturating_sub(1)));
    reply::set(headers, reply::UPLOAD, id);
    reply::set(headers, CHUNK_MIN_LENGTH, "1");
    response
}

fn created(call: &Call, name: &Name, digest: &Digest) -> Response<Body> {
    let mut response = reply::empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    reply::set(headers, LOCATION, &call.location(&format!("/v2/{name}/blobs/{digest}")));
    reply::set(headers, reply::DIGEST, digest.as_str());
    response
}

/// A random UUID, which nobody can guess.
pub(super) fn new_id() -> Result<String> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::from(std::io::Error::from(error)))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

fn is_id(id: &str) -> bool {
    id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

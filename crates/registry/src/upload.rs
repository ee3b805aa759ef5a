//! Blobs and manifests on their way to a registry.
//!
//! A blob of unknown length and digest is sent while it is made: one `PATCH` with a chunked body, then the `PUT` that
//! names the digest. When the connection breaks, the registry is asked how much it has; the source is opened again, and
//! what the registry has is left out. A registry that does not know gets the blob in a new upload.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::mpsc;
use wharf_oci::image::Descriptor;
use wharf_oci::{Digest, Hasher};

use crate::endpoint::is_lured;
use crate::error::{Error, Result};
use crate::failure;
use crate::repository::{DIGEST_HEADER, Repository, verb};
use crate::retry::{Pause, is_busy};

/// How long a registry may take to take note of a blob it has received in full.
const PATIENCE: Duration = Duration::from_secs(120);
const OCTETS: &str = "application/octet-stream";

/// The parts of a blob in their order and then an empty one, which is the end: a source that is gone before it has failed.
pub type Parts = mpsc::Receiver<io::Result<Bytes>>;

/// Where a blob comes from. Called once, and again after a fault; always has to make the same bytes.
pub type Source<'a> = &'a (dyn Fn() -> Parts + Send + Sync);

/// An upload that the registry has begun.
#[derive(Debug, Clone)]
pub struct Session(Url);

/// What became of the request to begin an upload.
#[derive(Debug)]
pub enum Started {
    /// The blob was mounted from the other repository: nothing is to be sent.
    Mounted,
    /// The blob is to be sent.
    Session(Session),
}

/// What has gone out, shared between an upload and the body of its request.
#[derive(Debug)]
struct Sent {
    hasher: Hasher,
    size: u64,
    failed: Option<io::Error>,
    done: bool,
}

impl Repository {
    /// Whether the repository has a blob, of `size` bytes as far as it says so.
    pub async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool> {
        let url = self.url(&format!("/blobs/{digest}"))?;
        let response = self.send(Method::HEAD, url, |request| request).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => {
                let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
                Ok(length.and_then(|length| length.parse().ok()).is_none_or(|length: u64| length == size))
            }
            _ => Err(failure::answer(response).await),
        }
    }

    /// Begins an upload; with a blob and the path of another repository of the same registry, asks for it from there.
    pub async fn start_upload(&self, mount: Option<(&Digest, &str)>) -> Result<Started> {
        let mut url = self.url("/blobs/uploads/")?;
        if let Some((digest, from)) = mount {
            url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from);
        }
        let response =
            self.send(Method::POST, url.clone(), |request| request.header(CONTENT_LENGTH, 0)).await?;
        match response.status() {
            StatusCode::CREATED if mount.is_some() => Ok(Started::Mounted),
            status if status.is_success() => Ok(Started::Session(session(&url, &response)?)),
            _ => Err(failure::answer(response).await),
        }
    }

    /// Tells the registry that an upload is not wanted any more. Whether it listens does not matter: it drops old ones.
    pub async fn cancel_upload(&self, session: Session) {
        if let Err(error) = self.send(Method::DELETE, session.0, |request| request).await {
            tracing::debug!(%error, "upload not cancelled");
        }
    }

    /// Uploads a small blob in one piece, unless the repository has it.
    pub async fn put_blob(&self, digest: &Digest, body: Bytes) -> Result<()> {
        if self.has_blob(digest, body.len() as u64).await? {
            return Ok(());
        }
        let Started::Session(Session(mut url)) = self.start_upload(None).await? else { return Ok(()) };
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let response = self
            .send(Method::PUT, url, |request| request.header(CONTENT_TYPE, OCTETS).body(body.clone()))
            .await?;
        if response.status().is_success() { Ok(()) } else { Err(failure::answer(response).await) }
    }

    /// Uploads what `source` makes; returns digest and length in bytes. The media type is left empty.
    ///
    /// `session` is an upload that was begun, if there is one.
    pub async fn put_stream(&self, source: Source<'_>, session: Option<Session>) -> Result<Descriptor> {
        let mut upload =
            Upload { repository: self, source, session, has: 0, pause: Pause::new(self.config().retries) };
        loop {
            if let Some(done) = upload.attempt().await? {
                return Ok(done);
            }
        }
    }

    /// Puts a manifest under a tag or digest; returns its digest.
    pub async fn put_manifest(&self, name: &str, media_type: &str, body: Bytes) -> Result<Digest> {
        let url = self.url(&format!("/manifests/{name}"))?;
        let response = self
            .send(Method::PUT, url, |request| request.header(CONTENT_TYPE, media_type).body(body.clone()))
            .await?;
        if !response.status().is_success() {
            return Err(failure::answer(response).await);
        }
        let digest = Digest::sha256(&body);
        let stated = response.headers().get(DIGEST_HEADER).and_then(|value| value.to_str().ok());
        match stated.and_then(|stated| Digest::parse(stated).ok()) {
            Some(stated) if stated != digest && stated.algorithm() == digest.algorithm() => {
                Err(Error::ManifestDigest(digest))
            }
            _ => Ok(digest),
        }
    }
}

/// One blob that is being sent, through all attempts.
struct Upload<'a> {
    repository: &'a Repository,
    source: Source<'a>,
    session: Option<Session>,
    /// Bytes the registry has already.
    has: u64,
    pause: Pause,
}

impl Upload<'_> {
    /// Sends the blob from where it is; `None` after a fault that another attempt may overcome.
    async fn attempt(&mut self) -> Result<Option<Descriptor>> {
        let session = match self.session.take() {
            Some(session) => session,
            None => match self.repository.start_upload(None).await? {
                Started::Session(session) => session,
                Started::Mounted => return Ok(None),
            },
        };
        let sent =
            Arc::new(Mutex::new(Sent { hasher: Hasher::sha256(), size: 0, failed: None, done: false }));
        let parts = Skipping { parts: (self.source)(), skip: self.has, sent: sent.clone() };
        let answer = self.patch(&session, parts).await;
        let (failed, done, hasher, size) = {
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            (sent.failed.take(), sent.done, sent.hasher.clone(), sent.size)
        };
        if let Some(error) = failed {
            return Err(Error::Source(error));
        }
        match answer {
            Ok(response) if response.status().is_success() && done => {
                let next = session_after(&session, &response);
                self.finish(next, Descriptor::new("", hasher.finish(), size)).await
            }
            Ok(response) => self.refused(session, response).await.map(|()| None),
            Err(error) => self.broken(session, error).await.map(|()| None),
        }
    }

    async fn patch(&self, session: &Session, parts: Skipping) -> Result<Response> {
        let (verb, stall) = (verb(&Method::PATCH), self.repository.config().stall_timeout);
        let request = self.repository.signed(Method::PATCH, &session.0).await?;
        let sent = parts.sent.clone();
        let request = request.header(CONTENT_TYPE, OCTETS).body(Body::wrap_stream(parts));
        let mut answer = std::pin::pin!(request.send());
        // A connection that takes nothing for so long is dead; while it takes, there is no limit.
        let mut before = None;
        loop {
            match tokio::time::timeout(stall, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(failure::transport(verb, &session.0, &error).await),
                Err(_) => {
                    let size = sent.lock().unwrap_or_else(PoisonError::into_inner).size;
                    if before == Some(size) {
                        return Err(failure::timeout(verb, &session.0));
                    }
                    before = Some(size);
                }
            }
        }
    }

    /// Names the digest of what was sent.
    async fn finish(&mut self, session: Session, done: Descriptor) -> Result<Option<Descriptor>> {
        let mut url = session.0;
        url.query_pairs_mut().append_pair("digest", done.digest.as_str());
        let request = self.repository.signed(Method::PUT, &url).await?;
        let request = request.header(CONTENT_LENGTH, 0).header(CONTENT_TYPE, OCTETS);
        let error = match tokio::time::timeout(PATIENCE, request.send()).await {
            Ok(Ok(response)) if response.status().is_success() => return Ok(Some(done)),
            Ok(Ok(response)) => {
                let status = response.status();
                if status == StatusCode::UNAUTHORIZED {
                    self.repository.challenged(&response).await;
                }
                failure::answer(response).await
            }
            Ok(Err(error)) => failure::transport(verb(&Method::PUT), &url, &error).await,
            Err(_) => failure::timeout(verb(&Method::PUT), &url),
        };
        // The answer may have been lost after the work was done.
        if matches!(self.repository.has_blob(&done.digest, done.size).await, Ok(true)) {
            return Ok(Some(done));
        }
        tracing::debug!(digest = %done.digest, %error, "upload was not accepted");
        self.has = 0;
        if self.pause.again().await { Ok(None) } else { Err(error) }
    }

    /// An answer that is no success, or one that came before the registry had everything.
    async fn refused(&mut self, session: Session, response: Response) -> Result<()> {
        let status = response.status();
        let again = match status {
            StatusCode::UNAUTHORIZED => {
                self.repository.challenged(&response).await && self.pause.again().await
            }
            // The upload was forgotten, or its offset is another one: begun anew.
            StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => self.pause.again().await,
            status if is_busy(status) || status.is_server_error() || status.is_success() => {
                self.pause.again_after(&response).await
            }
            _ => false,
        };
        if !again {
            return Err(failure::answer(response).await);
        }
        self.resume(session).await;
        Ok(())
    }

    async fn broken(&mut self, session: Session, error: Error) -> Result<()> {
        if !matches!(error, Error::Transport { .. }) || !self.pause.again().await {
            return Err(error);
        }
        tracing::debug!(%error, "upload interrupted");
        self.resume(session).await;
        Ok(())
    }

    /// Asks how much the registry has of an upload. One it does not know is begun anew.
    async fn resume(&mut self, session: Session) {
        let before = std::mem::take(&mut self.has);
        let Ok(response) = self.repository.send(Method::GET, session.0.clone(), |request| request).await
        else {
            return;
        };
        let range = response.headers().get(RANGE).and_then(|value| value.to_str().ok());
        let last = range.and_then(|range| range.rsplit_once('-')?.1.parse::<u64>().ok());
        if let (StatusCode::NO_CONTENT | StatusCode::ACCEPTED | StatusCode::OK, Some(last)) =
            (response.status(), last)
        {
            // An empty upload says `0-0`, as one of a single byte does: sending from the start needs a new one.
            if last == 0 {
                return;
            }
            self.has = last + 1;
            self.session = Some(session_after(&session, &response));
            if self.has > before {
                self.pause.reset();
            }
        }
    }
}

/// The upload that an answer names by its `Location`.
fn session(url: &Url, response: &Response) -> Result<Session> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| url.join(location).ok());
    let next = next.filter(|next| matches!(next.scheme(), "http" | "https") && !is_lured(url, next));
    next.map(Session).ok_or_else(|| Error::Status(failure::status_line(response.status())))
}

/// The same after a step; a registry need not say that it is still the same one.
fn session_after(before: &Session, response: &Response) -> Session {
    session(&before.0, response).unwrap_or_else(|_| before.clone())
}

/// The body of a request: the parts, hashed and counted, without what the registry has already.
struct Skipping {
    parts: Parts,
    skip: u64,
    sent: Arc<Mutex<Sent>>,
}

impl Stream for Skipping {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let Poll::Ready(part) = self.parts.poll_recv(context) else { return Poll::Pending };
            let mut part = match self.note(part) {
                Ok(Some(part)) => part,
                Ok(None) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let skipped = part.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= skipped as u64;
            let rest = part.split_off(skipped);
            if !rest.is_empty() {
                return Poll::Ready(Some(Ok(rest)));
            }
        }
    }
}

impl Skipping {
    /// Counts and hashes a part, and remembers how the source ended.
    fn note(&self, part: Option<io::Result<Bytes>>) -> io::Result<Option<Bytes>> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        match part.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into())) {
            Ok(part) if part.is_empty() => {
                sent.done = true;
                Ok(None)
            }
            Ok(part) => {
                sent.hasher.update(&part);
                sent.size += part.len() as u64;
                Ok(Some(part))
            }
            Err(error) => {
                let kind = error.kind();
                sent.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

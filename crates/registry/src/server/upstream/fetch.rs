//! A blob on its way from an upstream to the storage, and to whoever waits for it.
//!
//! It is fetched by a task of its own, so that a client that leaves or is slow changes nothing. Clients read it from the
//! storage while it grows.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{Method, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;
use wharf_oci::{Digest, Hasher};

use crate::Repository;
use crate::server::call::Call;
use crate::server::failure::{Code, Failure, Result};
use crate::server::name::Name;
use crate::server::reply::{self, Body};
use crate::server::storage::{Reader, Writer};
use crate::server::{Registry, blocking, layout, uploads};

/// Bytes read at once from the growing file.
const PART: u64 = 256 << 10;
/// How often a broken connection to the upstream is opened again.
const ATTEMPTS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// This many bytes are stored.
    Running(u64),
    Done,
    Failed,
}

/// A blob that is being fetched, for those who wait for it.
pub(super) struct Fetch {
    size: u64,
    reader: Arc<dyn Reader>,
    progress: watch::Sender<Progress>,
}

/// A blob that is about to be fetched.
pub(super) struct Prepared {
    fetch: Arc<Fetch>,
    name: Name,
    digest: Digest,
    id: String,
    writer: Box<dyn Writer>,
    response: reqwest::Response,
}

impl Fetch {
    /// Makes a place for the body of `response`.
    pub(super) async fn prepare(
        registry: &Registry,
        name: &Name,
        digest: &Digest,
        response: reqwest::Response,
    ) -> Result<Prepared> {
        let size = response.content_length().ok_or_else(|| {
            Failure::new(Code::Unavailable, "the upstream does not say how long the blob is")
                .status(http::StatusCode::BAD_GATEWAY)
        })?;
        let id = uploads::new_id()?;
        let (store, key) = (registry.store.clone(), layout::upload_data(name, &id));
        let (writer, reader) = blocking::run(move || {
            let writer = store.storage.create(&key)?;
            Ok((writer, store.storage.open(&key)?))
        })
        .await?;
        let progress = watch::Sender::new(Progress::Running(0));
        let fetch = Arc::new(Self { size, reader: reader.into(), progress });
        Ok(Prepared { fetch, name: name.clone(), digest: digest.clone(), id, writer, response })
    }

    /// Nobody fetches any more: whoever still waits does so in vain.
    pub(super) fn give_up(&self) {
        self.progress.send_if_modified(|progress| {
            let running = matches!(progress, Progress::Running(_));
            if running {
                *progress = Progress::Failed;
            }
            running
        });
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The blob could not be fetched.
    pub(super) async fn done(&self) -> Result<()> {
        let mut progress = self.progress.subscribe();
        let ended = progress.wait_for(|progress| !matches!(progress, Progress::Running(_))).await;
        match ended.map(|progress| *progress) {
            Ok(Progress::Done) => Ok(()),
            _ => Err(Failure::new(Code::Unavailable, "the upstream broke off")
                .status(http::StatusCode::BAD_GATEWAY)),
        }
    }

    /// The answer with the blob as it grows. Should the fetch fail, the connection is cut: the head has gone out.
    pub(super) fn response(self: Arc<Self>, call: &Call, digest: &Digest) -> Response<Body> {
        let size = self.size;
        let body = match call.method {
            Method::HEAD => reply::full(Bytes::new()),
            _ => {
                let (registry, progress) = (call.registry.clone(), self.progress.subscribe());
                let parts = stream::try_unfold((self, progress, 0), move |(fetch, mut progress, offset)| {
                    let registry = registry.clone();
                    async move {
                        let part = fetch.part(&mut progress, offset).await?;
                        registry.metrics.sent(part.len() as u64);
                        let next = offset + part.len() as u64;
                        let frame = Frame::data(Bytes::from(part));
                        let more = frame.data_ref().is_some_and(|part| !part.is_empty());
                        Ok::<_, io::Error>(more.then_some((frame, (fetch, progress, next))))
                    }
                });
                StreamBody::new(parts).boxed_unsync()
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        reply::set(headers, CONTENT_LENGTH, &size.to_string());
        reply::set(headers, CONTENT_TYPE, "application/octet-stream");
        reply::set(headers, ETAG, &reply::etag(digest));
        reply::set(headers, reply::DIGEST, digest.as_str());
        response
    }

    /// The next bytes from `offset` on, as soon as there are some; none at the end.
    async fn part(&self, progress: &mut watch::Receiver<Progress>, offset: u64) -> io::Result<Vec<u8>> {
        let broken = || io::Error::other("the upstream broke off");
        if offset == self.size {
            return Ok(Vec::new());
        }
        let wanted = |progress: &Progress| match progress {
            Progress::Running(stored) => *stored > offset,
            Progress::Done | Progress::Failed => true,
        };
        let stored = match *progress.wait_for(wanted).await.map_err(|_| broken())? {
            // The last part is not counted before the verdict, so that wrong bytes never make a whole blob.
            Progress::Running(stored) => stored,
            Progress::Done => self.size,
            Progress::Failed => return Err(broken()),
        };
        let reader = self.reader.clone();
        let most = usize::try_from((stored - offset).min(PART)).unwrap_or_default();
        let read = blocking::spawn(move || {
            let mut data = vec![0; most];
            let read = reader.read_at(offset, &mut data)?;
            data.truncate(read);
            Ok::<_, io::Error>(data)
        });
        let data = blocking::join(read).await.map_err(|_| broken())??;
        if data.is_empty() { Err(broken()) } else { Ok(data) }
    }
}

impl Prepared {
    /// What those who wait see.
    pub(super) fn fetch(&self) -> Arc<Fetch> {
        self.fetch.clone()
    }

    /// Fetches, verifies and stores the blob, or removes what came of it.
    pub(super) async fn run(self, registry: &Registry, repository: &Repository) {
        let (fetch, name, id) = (self.fetch.clone(), self.name.clone(), self.id.clone());
        let digest = self.digest.clone();
        let outcome = match self.store(registry, repository).await {
            Ok(()) => Progress::Done,
            Err(failure) => {
                tracing::warn!(%digest, reason = failure.message(), "a blob cannot be fetched");
                Progress::Failed
            }
        };
        uploads::remove(registry, &name, &id).await;
        fetch.progress.send_replace(outcome);
    }

    /// Gives up before the start.
    pub(super) async fn discard(self, registry: &Registry) {
        uploads::remove(registry, &self.name, &self.id).await;
    }

    async fn store(self, registry: &Registry, repository: &Repository) -> Result<()> {
        let Self { fetch, name, digest, id, mut writer, mut response } = self;
        let (mut hasher, mut offset, mut attempts) = (Hasher::new(digest.algorithm()), 0, ATTEMPTS);
        let size = fetch.size;
        while offset < size {
            let part = tokio::time::timeout(registry.config.body_timeout, response.chunk()).await;
            let Ok(Ok(Some(part))) = part else {
                attempts = attempts.checked_sub(1).ok_or_else(|| broken(offset, size))?;
                let opened = repository.open_blob(&digest, offset).await;
                response = opened.map_err(|error| Failure::new(Code::Unavailable, error.to_string()))?.1;
                if offset > 0 && response.status() != reqwest::StatusCode::PARTIAL_CONTENT {
                    return Err(broken(offset, size));
                }
                continue;
            };
            offset += part.len() as u64;
            if offset > size {
                return Err(broken(offset, size));
            }
            let written = blocking::spawn(move || {
                hasher.update(&part);
                writer.append(&part).map(|()| (writer, hasher))
            });
            (writer, hasher) = blocking::join(written).await??;
            if offset < size {
                fetch.progress.send_replace(Progress::Running(offset));
            }
        }
        let found = hasher.finish();
        if found != digest {
            return Err(Failure::new(Code::DigestInvalid, format!("the upstream sent {found}")));
        }
        let (store, key) = (registry.store.clone(), layout::upload_data(&name, &id));
        blocking::run(move || {
            writer.sync()?;
            store.put_blob(&name, &digest, &key, size)
        })
        .await
    }
}

fn broken(offset: u64, size: u64) -> Failure {
    Failure::new(Code::Unavailable, format!("the upstream broke off after {offset} of {size} bytes"))
}

//! Fetching layers: downloaded, hashed, inflated and unpacked at once, several side by side.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use wharf_api::progress::Progress;
use wharf_oci::Digest;
use wharf_oci::image::Descriptor;
use wharf_registry::{BlobStream, Error as RegistryError, Repository};

use super::bar;
use super::claims::Claims;
use crate::{Error, Result};

/// Parts of a blob between the network and the unpacking thread.
const BUFFERED: usize = 32;
/// Time between two progress lines of a layer.
const PACE: Duration = Duration::from_millis(100);

/// A layer that is to be fetched.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The blob.
    pub(super) blob: Descriptor,
    /// Digest of the layer, uncompressed.
    pub(super) diff_id: Digest,
    /// Identity of the layer on top of those below it.
    pub(super) chain: Digest,
    /// Identity of what is below.
    pub(super) parent: Option<Digest>,
}

/// Where layers go.
pub(super) trait Layers: Sync {
    /// Whether a layer is there.
    fn has(&self, chain: &Digest) -> Result<bool>;
    /// Unpacks and verifies a layer; it is visible when this returns.
    fn ingest(&self, job: &Job, blob: &mut (dyn Read + Send)) -> Result<()>;
}

/// Fetches `jobs`, the lowest first, `parallel` at once. Layers that are there are left alone. The first failure ends everything; layers that
/// are complete by then stay.
pub(super) fn fetch(
    jobs: Vec<Job>,
    parallel: usize,
    repository: &Repository,
    layers: &dyn Layers,
    claims: &Claims,
    runtime: &Handle,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut missing = VecDeque::new();
    for job in jobs {
        let there = layers.has(&job.chain)?;
        progress(Progress::step(
            job.blob.digest.short(),
            if there { "Already exists" } else { "Pulling fs layer" },
        ));
        if !there {
            missing.push_back(job);
        }
    }
    for job in missing.iter().skip(parallel) {
        progress(Progress::step(job.blob.digest.short(), "Waiting"));
    }
    let workers = missing.len().min(parallel);
    let shared = Shared {
        jobs: Mutex::new(missing),
        failed: Mutex::new(None),
        downloads: Mutex::default(),
        repository,
        layers,
        claims,
        runtime,
    };
    forward(progress, |lines| {
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (lines, shared) = (lines.clone(), &shared);
                scope.spawn(move || shared.work(&lines));
            }
        });
    });
    match shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Runs `work` on a thread of its own and reports on this one what it sends.
pub(super) fn forward<T: Send>(
    progress: &mut dyn FnMut(Progress),
    work: impl FnOnce(Sender<Progress>) -> T + Send,
) -> T {
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || work(sender));
        lines.iter().for_each(progress);
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

struct Shared<'a> {
    jobs: Mutex<VecDeque<Job>>,
    failed: Mutex<Option<Error>>,
    downloads: Mutex<Vec<AbortHandle>>,
    repository: &'a Repository,
    layers: &'a dyn Layers,
    claims: &'a Claims,
    runtime: &'a Handle,
}

impl Shared<'_> {
    fn work(&self, lines: &Sender<Progress>) {
        while let Some(job) = self.next() {
            if let Err(error) = self.layer(&job, lines) {
                self.fail(error);
            }
        }
    }

    /// The next job; none after a failure.
    fn next(&self) -> Option<Job> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front().filter(|_| !failed)
    }

    fn fail(&self, error: Error) {
        // Only the first counts: the others are its consequences.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        for download in self.downloads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            download.abort();
        }
    }

    fn layer(&self, job: &Job, lines: &Sender<Progress>) -> Result<()> {
        let id = job.blob.digest.short();
        let report = |line| drop(lines.send(line));
        let _claim = self.claims.claim(&job.chain);
        if self.layers.has(&job.chain)? {
            report(Progress::step(id, "Already exists"));
            return Ok(());
        }
        let (sender, parts) = mpsc::channel(BUFFERED);
        let blob = self.repository.blob(&job.blob);
        let download = self.runtime.spawn(download(blob, job.blob.clone(), sender, lines.clone()));
        self.downloads.lock().unwrap_or_else(PoisonError::into_inner).push(download.abort_handle());
        let mut reader = BlobReader {
            parts,
            part: Bytes::new(),
            read: 0,
            size: job.blob.size,
            extracting: Pace::new(id, "Extracting", job.blob.size, lines.clone()),
        };
        let ingested = self.layers.ingest(job, &mut reader);
        // Ends the download if the rest is not wanted.
        drop(reader);
        match self.runtime.block_on(download) {
            Ok(Err(error)) => return Err(super::failure::registry(error)),
            Err(broken) if ingested.is_ok() => {
                return Err(Error::system(format!("download of {id}: {broken}")));
            }
            _ => {}
        }
        ingested?;
        report(Progress::step(id, "Pull complete"));
        Ok(())
    }
}

/// Passes a blob on part by part. An error is the registry's; a reader that is gone is none.
async fn download(
    mut blob: BlobStream,
    descriptor: Descriptor,
    parts: mpsc::Sender<Bytes>,
    lines: Sender<Progress>,
) -> std::result::Result<(), RegistryError> {
    let id = descriptor.digest.short();
    let mut downloading = Pace::new(id, "Downloading", descriptor.size, lines.clone());
    while let Some(part) = blob.next().await? {
        downloading.at(blob.position());
        if parts.send(part).await.is_err() {
            return Ok(());
        }
    }
    for status in ["Verifying Checksum", "Download complete"] {
        let _ = lines.send(Progress::step(id, status));
    }
    Ok(())
}

/// The blocking end of a download.
struct BlobReader {
    parts: mpsc::Receiver<Bytes>,
    part: Bytes,
    read: u64,
    size: u64,
    extracting: Pace,
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.part.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.part = part,
                None if self.read == self.size => return Ok(0),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = buf.len().min(self.part.len());
        buf[..length].copy_from_slice(&self.part.split_to(length));
        self.read += length as u64;
        // While the network is the slower side, the download's own lines tell how far the layer is.
        if self.parts.is_closed() {
            self.extracting.at(self.read);
        }
        Ok(length)
    }
}

/// Progress lines of one layer, not more often than people can read them; the last one always.
pub(super) struct Pace {
    id: String,
    status: &'static str,
    total: u64,
    last: Option<Instant>,
    lines: Sender<Progress>,
}

impl Pace {
    /// Lines with this status; `total` 0 means that the length is not known.
    pub(super) fn new(id: &str, status: &'static str, total: u64, lines: Sender<Progress>) -> Self {
        Self { id: id.to_owned(), status, total, last: None, lines }
    }

    /// Tells how far it is, if it is time to.
    pub(super) fn at(&mut self, current: u64) {
        let due = self.last.is_none_or(|last| last.elapsed() >= PACE);
        if due || current == self.total {
            self.last = Some(Instant::now());
            let _ = self.lines.send(bar::line(&self.id, self.status, current, self.total));
        }
    }
}

//! Fetching layers: downloaded, hashed, inflated and unpacked at once, several side by side.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use wharf_api::progress::Progress;
use wharf_oci::Digest;
use wharf_oci::image::Descriptor;
use wharf_registry::{BlobStream, Error as RegistryError, Repository};
use wharf_store::Partial;

use super::cancel::Cancel;
use super::claims::Claims;
use super::{Images, bar};
use crate::{Error, Result};

/// Parts of a blob between the network and the unpacking thread.
const BUFFERED: usize = 32;
/// A smaller blob is not worth a file: it is fetched again as fast.
const WORTH_KEEPING: u64 = 1 << 20;
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
    /// What is here of its blob.
    fn partial(&self, job: &Job) -> Result<Partial>;
    /// Unpacks and verifies a layer; it is visible when this returns.
    fn ingest(&self, job: &Job, blob: &mut (dyn Read + Send)) -> Result<()>;
}

/// Where layers come from and go to.
pub(super) struct Origin<'a> {
    /// The repository on its endpoint.
    pub(super) repository: &'a Repository,
    /// The place where they go.
    pub(super) layers: &'a dyn Layers,
    /// Layers that are being fetched.
    pub(super) claims: &'a Claims,
    /// Runs the transfers.
    pub(super) runtime: &'a Handle,
    /// Ends them.
    pub(super) cancel: &'a Cancel,
    /// Layers fetched at once.
    pub(super) parallel: usize,
}

impl Images {
    /// A place where layers are fetched from, as this engine does it.
    pub(super) fn origin<'a>(
        &'a self,
        repository: &'a Repository,
        layers: &'a dyn Layers,
        runtime: &'a Handle,
        cancel: &'a Cancel,
    ) -> Origin<'a> {
        let parallel = self.parallel().downloads;
        Origin { repository, layers, claims: &self.claims, runtime, cancel, parallel }
    }
}

/// Fetches `jobs`, the lowest first, several at once. Layers that are there are left alone. The first failure ends everything; layers that
/// are complete by then stay.
pub(super) fn fetch(jobs: Vec<Job>, from: &Origin<'_>, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let mut missing = VecDeque::new();
    for job in jobs {
        let there = from.layers.has(&job.chain)?;
        progress(Progress::step(
            job.blob.digest.short(),
            if there { "Already exists" } else { "Pulling fs layer" },
        ));
        if !there {
            missing.push_back(job);
        }
    }
    for job in missing.iter().skip(from.parallel) {
        progress(Progress::step(job.blob.digest.short(), "Waiting"));
    }
    let workers = missing.len().min(from.parallel);
    let shared = Shared { jobs: Mutex::new(missing), stop: Arc::default(), from };
    let (stop, cancel) = (shared.stop.clone(), from.cancel.clone());
    let watch = from.runtime.spawn(async move {
        cancel.cancelled().await;
        stop.because(super::failure::cancelled());
    });
    forward(progress, |lines| {
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (lines, shared) = (lines.clone(), &shared);
                scope.spawn(move || shared.work(&lines));
            }
        });
    });
    watch.abort();
    match shared.stop.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
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
    stop: Arc<Stop>,
    from: &'a Origin<'a>,
}

/// How a fetch ends before its time.
#[derive(Default)]
struct Stop {
    failed: Mutex<Option<Error>>,
    downloads: Mutex<Vec<AbortHandle>>,
}

impl Stop {
    fn because(&self, error: Error) {
        // Only the first counts: the others are its consequences.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        for download in self.downloads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            download.abort();
        }
    }

    fn is_stopped(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Remembers a download; one that begins too late is over at once.
    fn add(&self, download: AbortHandle) {
        let mut downloads = self.downloads.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped() {
            download.abort();
        }
        downloads.push(download);
    }
}

impl Shared<'_> {
    fn work(&self, lines: &Sender<Progress>) {
        while let Some(job) = self.next() {
            if let Err(error) = self.layer(&job, lines) {
                self.stop.because(error);
            }
        }
    }

    /// The next job; none after a failure.
    fn next(&self) -> Option<Job> {
        let failed = self.stop.is_stopped();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front().filter(|_| !failed)
    }

    fn layer(&self, job: &Job, lines: &Sender<Progress>) -> Result<()> {
        let id = job.blob.digest.short();
        let report = |line| drop(lines.send(line));
        let _claim = self.from.claims.claim(&job.chain);
        if self.from.layers.has(&job.chain)? {
            report(Progress::step(id, "Already exists"));
            return Ok(());
        }
        let resumed = self.from.layers.partial(job)?.length();
        if let Err(error) = self.transfer(job, lines) {
            // Then what an earlier pull left may be to blame, and once more from the first byte will tell.
            if resumed == 0 || self.stop.is_stopped() || self.from.layers.partial(job)?.length() > 0 {
                return Err(error);
            }
            tracing::debug!(%error, layer = id, "a resumed download was no good");
            self.transfer(job, lines)?;
        }
        report(Progress::step(id, "Pull complete"));
        Ok(())
    }

    /// Downloads what is missing of a blob, and unpacks all of it. What came in is kept after a failure, unless it is not
    /// what it should be.
    fn transfer(&self, job: &Job, lines: &Sender<Progress>) -> Result<()> {
        let id = job.blob.digest.short();
        let failed = |error| Error::system(crate::error::io_words(&error)).caused_by(error);
        let mut partial = self.from.layers.partial(job)?;
        let (sender, parts) = mpsc::channel(BUFFERED);
        let blob = self.from.repository.blob_from(&job.blob, partial.length());
        let download = self.from.runtime.spawn(download(blob, job.blob.clone(), sender, lines.clone()));
        self.stop.add(download.abort_handle());
        let mut reader = BlobReader {
            before: Box::new(partial.reader().map_err(failed)?),
            partial: &mut partial,
            parts,
            part: Bytes::new(),
            read: 0,
            size: job.blob.size,
            extracting: Pace::new(id, "Extracting", job.blob.size, lines.clone()),
        };
        let ingested = self.from.layers.ingest(job, &mut reader);
        // Ends the download if the rest is not wanted.
        drop(reader);
        let downloaded = self.from.runtime.block_on(download);
        // All of it was read and it was no good, or it was good: neither is wanted again.
        if ingested.is_ok() || matches!(downloaded, Ok(Ok(()))) || partial.length() == 0 {
            partial.discard();
        }
        match downloaded {
            Ok(Err(error)) => Err(super::failure::registry(error)),
            Err(broken) if ingested.is_ok() => Err(Error::system(format!("download of {id}: {broken}"))),
            _ => ingested,
        }
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

/// The blocking end of a download: first what was here before, then what comes in, which is kept as well.
struct BlobReader<'a> {
    before: Box<dyn Read + Send>,
    partial: &'a mut Partial,
    parts: mpsc::Receiver<Bytes>,
    part: Bytes,
    read: u64,
    size: u64,
    extracting: Pace,
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.part.is_empty() {
            let got = self.before.read(buf)?;
            self.read += got as u64;
            if got > 0 {
                return Ok(got);
            }
            match self.parts.blocking_recv() {
                Some(part) => {
                    if self.size >= WORTH_KEEPING {
                        self.partial.append(&part);
                    }
                    self.part = part;
                }
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

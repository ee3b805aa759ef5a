//! Layers of a push: several side by side, each by the cheapest way the registry allows.
//!
//! A blob that is in the repository already is left there; one of another repository of the same registry is mounted; only
//! what is nowhere is compressed, and sent while it is being compressed.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use wharf_api::progress::Progress;
use wharf_oci::image::media_type;
use wharf_oci::{Digest, Reference};
use wharf_registry::{Error as RegistryError, Parts, Repository, Session, Started};
use wharf_store::{LayerInfo, LayerOrigin, LayerTar, Store};

use super::cancel::Cancel;
use super::failure;
use super::fetch::{Pace, forward};
use crate::{Error, Result};

/// Compressed parts between the compressor and the network.
const BUFFERED: usize = 4;
/// Repositories a layer is tried to be mounted from, and blobs it is looked for by elsewhere, before it is uploaded.
const MOST_MOUNTS: usize = 4;
const MOST_CHECKS: usize = 4;

/// A layer that is to be in the repository.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The layer.
    pub(super) info: LayerInfo,
    /// The compressed form that is wanted most, because a manifest names it.
    pub(super) wanted: Option<Digest>,
}

/// Where layers go.
pub(super) struct Target<'a> {
    /// The repository on its endpoint.
    pub(super) repository: &'a Repository,
    /// Its name.
    pub(super) name: &'a Reference,
    /// Where layers come from.
    pub(super) store: &'a Store,
    /// Runs the transfers.
    pub(super) runtime: &'a Handle,
    /// Ends them.
    pub(super) cancel: &'a Cancel,
    /// Layers uploaded at once.
    pub(super) parallel: usize,
}

/// A way to have a layer in the repository without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// It was there once.
    Here(LayerOrigin),
    /// It may be mounted from the repository with this path.
    Mount(LayerOrigin, String),
    /// It has this form in another registry, and somebody may have pushed it here too.
    Elsewhere(LayerOrigin),
}

/// Brings layers (bottom first) into the repository and returns their compressed forms there in the same order. The first
/// failure ends everything; what was uploaded by then is remembered.
pub(super) fn upload(
    jobs: Vec<Job>,
    target: &Target<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<LayerOrigin>> {
    let order: Vec<Digest> = jobs.iter().map(|job| job.info.diff_id.clone()).collect();
    let mut queue: VecDeque<Job> = VecDeque::new();
    // Docker's order: the top layer first.
    for job in jobs.into_iter().rev() {
        progress(Progress::step(job.info.diff_id.short(), "Preparing"));
        if !queue.iter().any(|other| other.info.diff_id == job.info.diff_id) {
            queue.push_back(job);
        }
    }
    for job in queue.iter().skip(target.parallel) {
        progress(Progress::step(job.info.diff_id.short(), "Waiting"));
    }
    let workers = queue.len().min(target.parallel);
    let shared = Shared { jobs: Mutex::new(queue), outcome: Mutex::new(Ok(HashMap::new())), target };
    forward(progress, |lines| {
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (lines, shared) = (lines.clone(), &shared);
                scope.spawn(move || shared.work(&lines));
            }
        });
    });
    let placed = shared.outcome.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let missing = || Error::system("a layer was not pushed");
    order.iter().map(|diff_id| placed.get(diff_id).cloned().ok_or_else(missing)).collect()
}

struct Shared<'a> {
    jobs: Mutex<VecDeque<Job>>,
    /// Layers that are there by the digest of their tar, or the first failure.
    outcome: Mutex<Result<HashMap<Digest, LayerOrigin>>>,
    target: &'a Target<'a>,
}

impl Shared<'_> {
    fn work(&self, lines: &Sender<Progress>) {
        while let Some(job) = self.next() {
            let placed = self.target.layer(&job, lines);
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(all) = &mut *outcome {
                match placed {
                    Ok(origin) => drop(all.insert(job.info.diff_id, origin)),
                    Err(error) => *outcome = Err(error),
                }
            }
        }
    }

    /// The next job; none after a failure.
    fn next(&self) -> Option<Job> {
        let failed = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).is_err();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front().filter(|_| !failed)
    }
}

impl Target<'_> {
    /// Waits for the registry, unless nobody wants it to any more.
    pub(super) fn wait<T>(&self, work: impl Future<Output = wharf_registry::Result<T>>) -> Result<T> {
        let done = self.runtime.block_on(self.cancel.unless(work));
        done.ok_or_else(failure::cancelled)?.map_err(failure::push)
    }

    fn layer(&self, job: &Job, lines: &Sender<Progress>) -> Result<LayerOrigin> {
        let id = job.info.diff_id.short();
        let report = |status: String| drop(lines.send(Progress::step(id, status)));
        let mut session = None;
        let placed = match self.wait(self.find(&ways(job, self.name), &mut session))? {
            Some(Way::Mount(origin, path)) => {
                report(format!("Mounted from {path}"));
                origin
            }
            Some(Way::Here(origin) | Way::Elsewhere(origin)) => {
                report("Layer already exists".to_owned());
                origin
            }
            None => {
                let origin = self.send(&job.info, session, lines)?;
                report("Pushed".to_owned());
                origin
            }
        };
        let placed = LayerOrigin { repository: self.name.name(), ..placed };
        self.store.add_origin(&job.info.chain_id, placed.clone())?;
        Ok(placed)
    }

    /// The first way that works. An upload that the registry began instead of mounting is left in `session`.
    async fn find(
        &self,
        ways: &[Way],
        session: &mut Option<Session>,
    ) -> std::result::Result<Option<Way>, RegistryError> {
        for way in ways {
            let there = match way {
                Way::Here(origin) | Way::Elsewhere(origin) => {
                    self.repository.has_blob(&origin.digest, origin.size).await?
                }
                Way::Mount(origin, path) => self.mount(origin, path, session).await?,
            };
            if there {
                if let Some(unused) = session.take() {
                    self.repository.cancel_upload(unused).await;
                }
                return Ok(Some(way.clone()));
            }
        }
        Ok(None)
    }

    async fn mount(
        &self,
        origin: &LayerOrigin,
        path: &str,
        session: &mut Option<Session>,
    ) -> std::result::Result<bool, RegistryError> {
        match self.repository.start_upload(Some((&origin.digest, path))).await {
            Ok(Started::Mounted) => Ok(true),
            Ok(Started::Session(new)) => {
                if let Some(unused) = session.replace(new) {
                    self.repository.cancel_upload(unused).await;
                }
                Ok(false)
            }
            // A registry without mounting, or one that does not let us read there.
            Err(RegistryError::Registry { .. } | RegistryError::Body { .. } | RegistryError::Status(_)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Compresses and uploads a layer.
    fn send(
        &self,
        info: &LayerInfo,
        session: Option<Session>,
        lines: &Sender<Progress>,
    ) -> Result<LayerOrigin> {
        let source = || compressed(self.store.layer_tar(&info.chain_id), info, lines);
        let sent = self.wait(self.repository.put_stream(&source, session))?;
        Ok(LayerOrigin {
            repository: self.name.name(),
            digest: sent.digest,
            size: sent.size,
            media_type: media_type::DOCKER_LAYER_GZIP.to_owned(),
        })
    }
}

/// Compresses a layer on threads of its own; they end when nobody takes the parts any more.
fn compressed(tar: wharf_store::Result<LayerTar>, info: &LayerInfo, lines: &Sender<Progress>) -> Parts {
    let (sender, parts) = tokio::sync::mpsc::channel(BUFFERED);
    let pushing = Pace::new(info.diff_id.short(), "Pushing", info.size, lines.clone());
    let work = move || {
        let compressed = tar.map_err(io::Error::other).and_then(|tar| {
            let mut counted = Counted { tar, read: 0, pushing };
            wharf_store::gzip(&mut counted, &mut |part| {
                sender.blocking_send(Ok(part.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
            })
        });
        // The empty part is the end.
        let _ = sender.blocking_send(compressed.map(|()| bytes::Bytes::new()));
    };
    // Without a thread the parts end before they are complete, which is an error.
    let _ = std::thread::Builder::new().name("compress".to_owned()).spawn(work);
    parts
}

/// Tells how far a layer is.
struct Counted {
    tar: LayerTar,
    read: u64,
    pushing: Pace,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.tar.read(buffer)?;
        self.read += got as u64;
        self.pushing.at(self.read);
        Ok(got)
    }
}

/// The ways to try, in order. Newer origins come first, and the wanted form before all others.
fn ways(job: &Job, target: &Reference) -> Vec<Way> {
    let gzip = |origin: &LayerOrigin| {
        matches!(origin.media_type.as_str(), media_type::DOCKER_LAYER_GZIP | media_type::OCI_LAYER_GZIP)
    };
    let wanted = |origin: &LayerOrigin| job.wanted.as_ref() == Some(&origin.digest);
    let mut origins: Vec<&LayerOrigin> =
        job.info.origins.iter().rev().filter(|origin| wanted(origin) || gzip(origin)).collect();
    origins.sort_by_key(|origin| !wanted(origin));
    let (mut here, mut mounts, mut elsewhere) = (Vec::new(), Vec::new(), Vec::<Way>::new());
    let mut checked: Vec<&Digest> = Vec::new();
    for origin in &origins {
        let Ok(source) = Reference::parse(&origin.repository) else { continue };
        if source.name() == target.name() {
            checked.push(&origin.digest);
            here.push(Way::Here((*origin).clone()));
        } else if source.domain() == target.domain() {
            mounts.push(Way::Mount((*origin).clone(), source.path().to_owned()));
        }
    }
    for origin in &origins {
        if !checked.contains(&&origin.digest) {
            checked.push(&origin.digest);
            elsewhere.push(Way::Elsewhere((*origin).clone()));
        }
    }
    mounts.truncate(MOST_MOUNTS);
    elsewhere.truncate(MOST_CHECKS);
    here.into_iter().chain(mounts).chain(elsewhere).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn origin(repository: &str, content: &str, media_type: &str) -> LayerOrigin {
        let digest = Digest::sha256(content.as_bytes());
        LayerOrigin { repository: repository.to_owned(), digest, size: 1, media_type: media_type.to_owned() }
    }

    #[test]
    fn cheapest_first() {
        let gzip = |repository, content| origin(repository, content, media_type::DOCKER_LAYER_GZIP);
        let (here, beside, far) =
            (gzip("r.example/a", "1"), gzip("r.example/b", "2"), gzip("docker.io/library/x", "3"));
        let zstd = origin("r.example/z", "4", media_type::OCI_LAYER_ZSTD);
        let diff_id = Digest::sha256(b"layer");
        let mut job = Job {
            info: LayerInfo {
                chain_id: diff_id.clone(),
                diff_id,
                parent: None,
                size: 0,
                tar_size: 0,
                origins: vec![far.clone(), zstd.clone(), here.clone(), beside.clone()],
            },
            wanted: None,
        };
        let target = Reference::parse("r.example/a:1").unwrap();
        let others = [Way::Elsewhere(beside.clone()), Way::Elsewhere(far.clone())];
        let expected = [Way::Here(here), Way::Mount(beside, "b".to_owned())].into_iter().chain(others);
        assert_eq!(ways(&job, &target), expected.clone().collect::<Vec<_>>());
        job.wanted = Some(zstd.digest.clone());
        let all = ways(&job, &target);
        assert_eq!(all[1], Way::Mount(zstd.clone(), "z".to_owned()));
        assert_eq!(all[3], Way::Elsewhere(zstd));
    }
}

//! Removing what nothing refers to, while a server writes, in its process or another.
//!
//! Marking takes no lock. A blob that it did not see referred to is removed only if nobody touched it since the collection
//! began, less a grace time; whoever refers to a blob touches it first (ADR 9).

pub(crate) mod retention;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wharf_oci::Digest;

use super::config::{CollectConfig, Config};
use super::document::Document;
use super::failure::{Failure, Result};
use super::name::Name;
use super::session::Sessions;
use super::storage::{Disk, Hold};
use super::store::{LINK, Store};
use super::upstream::Upstreams;
use super::{Registry, ServeError, blocking, layout};

/// Times of files may lag behind the clock by a tick of the kernel's.
const TICK: Duration = Duration::from_secs(1);
/// Pause between two looks for old uploads, without collections.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Tags that the retention rules let go.
    pub tags: u64,
    /// Manifests without a tag.
    pub manifests: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of the blobs.
    pub bytes: u64,
}

/// Collects in the storage of `config`, which may be served at the same time.
///
/// # Errors
/// The storage cannot be read, or the upstreams in the configuration make no sense.
pub fn collect_garbage(config: &Config) -> std::result::Result<Collected, ServeError> {
    let store = Store::new(Arc::new(Disk::new(&config.root)));
    let upstreams = Upstreams::new(config)?;
    let collection = Collection { store: &store, config, upstreams: &upstreams, sessions: None };
    collection.run().map_err(|failure| ServeError::Storage {
        path: config.root.clone(),
        source: std::io::Error::other(failure.message().to_owned()),
    })
}

/// Collects now and then, for as long as the server lives.
pub(crate) async fn every_so_often(registry: Arc<Registry>) {
    if registry.config.read_only {
        return;
    }
    let interval = registry.config.collect.interval;
    loop {
        tokio::time::sleep(interval.unwrap_or(DAY)).await;
        let registry = registry.clone();
        let collected = blocking::run(move || {
            let collection = Collection {
                store: &registry.store,
                config: &registry.config,
                upstreams: &registry.upstreams,
                sessions: Some(&registry.sessions),
            };
            let collected = if interval.is_some() { collection.run()? } else { collection.only_uploads()? };
            registry.metrics.collected(collected.bytes);
            Ok(collected)
        });
        match collected.await {
            Ok(collected) => tracing::info!(?collected, "collected garbage"),
            Err(failure) => tracing::error!(reason = failure.message(), "the collection failed"),
        }
    }
}

/// A collection under way.
struct Collection<'a> {
    store: &'a Store,
    config: &'a Config,
    upstreams: &'a Upstreams,
    /// The uploads of the server that collects, if one does.
    sessions: Option<&'a Sessions>,
}

impl Collection<'_> {
    fn settings(&self) -> &CollectConfig {
        &self.config.collect
    }

    fn run(&self) -> Result<Collected> {
        let mut collected = self.only_uploads()?;
        let began = {
            // Whoever referred to something before this moment is done, and seen by the marking.
            let _alone = self.store.storage.hold(Hold::Exclusive)?;
            SystemTime::now()
        };
        let before = began.checked_sub(self.settings().grace + TICK).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut marked = HashSet::new();
        for name in self.store.repositories()? {
            let age = self.config.upstream_age.filter(|_| self.upstreams.find(&name).is_some());
            collected.tags += self.expire_tags(&name, age, began)?;
            if self.settings().untagged || age.is_some() {
                let before = age.and_then(|age| began.checked_sub(age)).unwrap_or(before);
                collected.manifests += self.remove_untagged(&name, before)?;
            }
            self.mark(&name, &mut marked)?;
        }
        self.sweep(&marked, before, &mut collected)?;
        for name in self.store.repositories()? {
            self.remove_dangling(&name)?;
        }
        Ok(collected)
    }

    /// Removes uploads that nobody went on with.
    fn only_uploads(&self) -> Result<Collected> {
        let mut collected = Collected::default();
        let Some(age) = self.settings().uploads else { return Ok(collected) };
        let storage = &self.store.storage;
        for name in self.store.repositories_with(|part| part == "_uploads")? {
            for id in storage.list(&layout::uploads(&name))? {
                if !self.is_abandoned(&name, &id, age)? {
                    continue;
                }
                // Against a client that comes back at this very moment.
                let _alone = storage.hold(Hold::Exclusive)?;
                if self.is_abandoned(&name, &id, age)? {
                    storage.remove(&layout::upload(&name, &id))?;
                    if let Some(sessions) = self.sessions {
                        sessions.forget(&name, &id);
                    }
                    collected.uploads += 1;
                }
            }
        }
        Ok(collected)
    }

    /// Whether nobody wrote to an upload for longer than `age`, and nobody is about to.
    fn is_abandoned(&self, name: &Name, id: &str, age: Duration) -> Result<bool> {
        let storage = &self.store.storage;
        let written = match storage.stat(&layout::upload_data(name, id))? {
            Some(stat) => Some(stat),
            None => storage.stat(&layout::upload_started(name, id))?,
        };
        let is_busy = || self.sessions.is_some_and(|sessions| sessions.is_busy(name, id));
        Ok(written.is_some_and(|stat| is_older(stat.modified, age)) && !is_busy())
    }

    /// Removes the tags that the rules let go; of a cache those that were not asked for since `age`.
    fn expire_tags(&self, name: &Name, age: Option<Duration>, now: SystemTime) -> Result<u64> {
        let storage = &self.store.storage;
        let mut tags = Vec::new();
        for tag in self.store.tags(name)? {
            if let Some(stat) = storage.stat(&layout::tag_current(name, &tag))? {
                tags.push((tag, stat.modified));
            }
        }
        let expired = match age {
            Some(age) => {
                let old = tags.iter().filter(|(_, time)| is_older(*time, age));
                old.map(|(tag, _)| tag.as_str()).collect()
            }
            None => retention::expired(&self.settings().retention, name.as_str(), &tags, now),
        };
        let mut removed = 0;
        for tag in expired {
            let seen = tags.iter().find(|(name, _)| name == tag).map(|(_, time)| *time);
            let _alone = storage.hold(Hold::Exclusive)?;
            // A tag that was pushed again in the meantime is a new one.
            let current = storage.stat(&layout::tag_current(name, tag))?.map(|stat| stat.modified);
            if current == seen {
                storage.remove(&layout::tag(name, tag))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes manifests that no tag leads to, older than `before`.
    fn remove_untagged(&self, name: &Name, before: SystemTime) -> Result<u64> {
        let storage = &self.store.storage;
        let reached = self.reached(name)?;
        let mut removed = 0;
        for digest in self.store.revisions(name)? {
            let link = format!("{}/{LINK}", layout::revision(name, &digest));
            if reached.contains(&digest) {
                continue;
            }
            let _alone = storage.hold(Hold::Exclusive)?;
            if storage.stat(&link)?.is_some_and(|stat| stat.modified < before) {
                match self.store.manifest(name, &digest)? {
                    Some(_) => self.store.remove_manifest(name, &digest)?,
                    None => storage.remove(&layout::revision(name, &digest))?,
                }
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The manifests that a tag leads to: itself, through an index, or as one that says something about another.
    fn reached(&self, name: &Name) -> Result<HashSet<Digest>> {
        let mut left = Vec::new();
        for tag in self.store.tags(name)? {
            left.extend(self.store.tag(name, &tag)?);
        }
        let mut reached = HashSet::new();
        while let Some(digest) = left.pop() {
            if !reached.insert(digest.clone()) {
                continue;
            }
            if let Some(data) = self.store.manifest(name, &digest)?
                && let Ok(document) = Document::parse(None, &data)
            {
                left.extend(document.manifests.into_iter().map(|entry| entry.digest));
            }
            left.extend(self.store.digests(&layout::referrers(name, &digest))?);
        }
        Ok(reached)
    }

    /// Marks the manifests of a repository and whatever they refer to.
    fn mark(&self, name: &Name, marked: &mut HashSet<u128>) -> Result<()> {
        for digest in self.store.revisions(name)? {
            marked.insert(mark_of(&digest));
            match self.store.manifest_blob(&digest)? {
                Some(data) => marked.extend(digests_in(&data).iter().map(mark_of)),
                None => tracing::warn!(repository = %name, %digest, "a manifest has no content"),
            }
        }
        Ok(())
    }

    fn sweep(&self, marked: &HashSet<u128>, before: SystemTime, collected: &mut Collected) -> Result<()> {
        let storage = &self.store.storage;
        let blobs = layout::blobs();
        for algorithm in storage.list(&blobs)? {
            for first in storage.list(&format!("{blobs}/{algorithm}"))? {
                for hex in storage.list(&format!("{blobs}/{algorithm}/{first}"))? {
                    let Ok(digest) = Digest::parse(&format!("{algorithm}:{hex}")) else { continue };
                    if marked.contains(&mark_of(&digest)) {
                        continue;
                    }
                    let _alone = storage.hold(Hold::Exclusive)?;
                    match storage.stat(&layout::blob(&digest))? {
                        Some(stat) if stat.modified < before => {
                            storage.remove(&layout::blob_folder(&digest))?;
                            tracing::debug!(%digest, size = stat.size, "a blob is removed");
                            collected.blobs += 1;
                            collected.bytes += stat.size;
                        }
                        Some(_) => {}
                        // Left by a process that died while it wrote: nobody writes now.
                        None => storage.remove(&layout::blob_folder(&digest))?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes the links of a repository to blobs that are gone.
    fn remove_dangling(&self, name: &Name) -> Result<()> {
        let storage = &self.store.storage;
        let is_gone = |digest: &Digest| Ok::<_, Failure>(storage.stat(&layout::blob(digest))?.is_none());
        for digest in self.store.digests(&layout::layers(name))? {
            if !is_gone(&digest)? {
                continue;
            }
            let _alone = storage.hold(Hold::Exclusive)?;
            if is_gone(&digest)? {
                storage.remove(&layout::layer(name, &digest))?;
            }
        }
        Ok(())
    }
}

fn is_older(time: SystemTime, age: Duration) -> bool {
    time.elapsed().is_ok_and(|elapsed| elapsed > age)
}

/// Half a hash: small in memory, and should two ever be the same, a blob stays that could have gone.
fn mark_of(digest: &Digest) -> u128 {
    u128::from_str_radix(&digest.hex()[..32], 16).unwrap_or_default()
}

/// Everything in a document that reads like a digest. Kinds of manifests that nobody knows here, older ones and those to
/// come, keep their blobs that way. Those that are known may write digests with escapes, which do not read like any.
fn digests_in(data: &[u8]) -> Vec<Digest> {
    let text = String::from_utf8_lossy(data);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':');
    let mut found: Vec<_> = words.filter_map(|word| Digest::parse(word).ok()).collect();
    if let Ok(document) = Document::parse(None, data) {
        let entries = document.config.into_iter().chain(document.layers).chain(document.manifests);
        found.extend(entries.map(|entry| entry.digest));
    }
    found
}

#[cfg(test)]
mod tests;

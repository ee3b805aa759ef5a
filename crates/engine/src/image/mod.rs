//! Images and what is done with them.
//!
//! [`Images`] has the verbs, one file each: `pull`, `push`, `import`, `load`, `save`, `tag`, `remove`, `prune`, `list`, `inspect`,
//! `history`, `registry`. They are functions of the store, the database, the event sink and the registry client, nothing more.
//!
//! - `fetch`, `claims`: layers of a pull, downloaded and unpacked side by side, once even if wanted twice
//! - `index`: images for several platforms under one name
//! - `upload`: layers of a push, each by the cheapest way the registry allows
//! - `remote`: documents and layers in registries that belong to no image: caches of builds
//! - `cancel`: giving up a transfer whose client has gone
//! - `plan`: what a removal takes away, as a pure function
//! - `views`: stored images as documents of the API, pure too
//! - `commit`: the image a container becomes
//! - `embedded`: the images that are carried in the binary
//! - `annotations`: those of images that leave the store
//! - `bar`, `failure`, `filter`: drawn progress, words for errors, filters

mod annotations;
mod bar;
mod cancel;
mod claims;
mod commit;
mod embedded;
mod failure;
mod fetch;
mod filter;
mod history;
mod import;
mod index;
mod inspect;
mod list;
mod load;
mod plan;
mod prune;
mod pull;
mod push;
mod registry;
mod remote;
mod remove;
mod save;
mod search;
mod tag;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cloned_ref_to_slice_refs)]
mod tests;
mod upload;
mod views;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use wharf_db::{Db, View};
use wharf_oci::image::{ImageConfig, RunConfig};
use wharf_oci::platform::Matcher;
use wharf_oci::{AnyReference, Digest, Platform, Reference};
use wharf_registry::{Client, ClientConfig};
use wharf_store::{ImageRecord, Store};

pub(crate) use self::annotations::Annotations;
pub use self::cancel::{Cancel, Wanted};
pub(crate) use self::commit::Committed;
pub(crate) use self::filter::until;
pub use self::import::{ImportRequest, ImportSource};
pub(crate) use self::index::BuiltImage;
pub use self::list::ListOptions;
pub use self::plan::{ImageUser, RemoveOptions};
pub(crate) use self::pull::Announced;
pub use self::pull::PullRequest;
pub use self::push::PushRequest;
pub(crate) use self::remote::{Remote, RemoteLayer};
pub use wharf_registry::Credentials;

use self::claims::Claims;
use crate::events::Events;
use crate::housekeeping::Housekeeper;
use crate::{EngineConfig, Error, Result};

/// The images of an engine.
#[derive(Debug)]
pub struct Images {
    store: Arc<Store>,
    db: Db,
    events: Arc<Events>,
    housekeeper: Housekeeper,
    registry: RwLock<Client>,
    parallel: RwLock<Parallel>,
    claims: Claims,
    /// The running binary, of which the embedded image is made.
    binary: PathBuf,
}

/// An image that was found, for making a container of it.
#[derive(Debug, Clone)]
pub struct Found {
    record: ImageRecord,
    config: ImageConfig,
}

impl Found {
    /// Digest of its configuration.
    pub fn id(&self) -> &Digest {
        &self.record.id
    }

    /// The store's row of it.
    pub fn record(&self) -> &ImageRecord {
        &self.record
    }

    /// What a container of it runs.
    pub fn run_config(&self) -> &RunConfig {
        &self.config.config
    }

    /// Its whole configuration.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }
}

impl Images {
    /// The images in `store`, with the engine's registry settings.
    pub(crate) fn new(
        store: Arc<Store>,
        db: Db,
        events: Arc<Events>,
        housekeeper: Housekeeper,
        config: &EngineConfig,
    ) -> Result<Self> {
        let registry = RwLock::new(registry_client(config));
        // The link is read when needed, so that it is the running binary even if the file was replaced.
        let binary = PathBuf::from("/proc/self/exe");
        Ok(Self {
            store,
            db,
            events,
            housekeeper,
            registry,
            parallel: RwLock::new(Parallel::new(config)),
            claims: Claims::default(),
            binary,
        })
    }

    /// Uses other settings for registries from now on; transfers under way go on with theirs.
    pub(crate) fn reload(&self, config: &EngineConfig) {
        *self.registry.write().unwrap_or_else(PoisonError::into_inner) = registry_client(config);
        *self.parallel.write().unwrap_or_else(PoisonError::into_inner) = Parallel::new(config);
    }

    fn registry(&self) -> Client {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn parallel(&self) -> Parallel {
        *self.parallel.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image that `name` means: an id, its beginning, or a reference. With a platform it must be for that one.
    ///
    /// # Errors
    /// 400 for a malformed name, 404 if there is none.
    pub fn find(&self, name: &str, platform: Option<&Platform>) -> Result<Found> {
        let (record, config) = self.db.read(|view| {
            let record = self.resolve(view, name)?;
            let config = self.store.images().config(view, &record.id)?;
            Ok::<_, Error>((record, config))
        })?;
        match platform {
            Some(platform) if !Matcher::new(platform).matches(&config.processor()) => {
                Err(Error::not_found(format!(
                    "image with reference {name} was found but its platform ({}) does not match the specified platform \
                 ({platform})",
                    config.processor()
                )))
            }
            _ => Ok(Found { record, config }),
        }
    }

    /// The ids of the image `name` and of all images made from it, for the filter `ancestor`; empty if there is none.
    pub fn with_descendants(&self, name: &str) -> Result<Vec<Digest>> {
        self.db.read(|view| {
            let Ok(record) = self.resolve(view, name) else { return Ok(Vec::new()) };
            let images = self.store.images().list(view)?;
            // A child has all the layers of its parent, whether or not a builder kept the parent's name.
            let chain = record.chains.last();
            let descends = |other: &ImageRecord| chain.is_some_and(|chain| other.chains.contains(chain));
            let mut ids = vec![record.id.clone()];
            ids.extend(
                images
                    .into_iter()
                    .map(|image| image.record)
                    .filter(|o| o.id != record.id && descends(o))
                    .map(|o| o.id),
            );
            Ok(ids)
        })
    }

    /// The row of the image that `name` means.
    fn resolve(&self, view: &View<'_>, name: &str) -> Result<ImageRecord> {
        let reference = AnyReference::parse(name)?;
        self.store.images().resolve(view, name).map_err(|error| match error {
            wharf_store::Error::NoImage { .. } | wharf_store::Error::Ambiguous { .. } => {
                no_such_image(&reference)
            }
            other => other.into(),
        })
    }

    /// Publishes an event about an image: its labels and `name` are the attributes.
    fn publish(&self, action: &str, id: &str, name: &str, labels: Option<&BTreeMap<String, String>>) {
        let mut attributes = labels.cloned().unwrap_or_default();
        attributes.insert("name".to_owned(), name.to_owned());
        self.events.publish("image", action, id, attributes);
    }

    /// Publishes an event whose actor and name are the image's id.
    fn publish_id(&self, action: &str, record: &ImageRecord) {
        self.publish(action, record.id.as_str(), record.id.as_str(), Some(&record.labels));
    }
}

/// How many layers are on their way at once, of one pull or push.
#[derive(Debug, Clone, Copy)]
struct Parallel {
    downloads: usize,
    uploads: usize,
}

impl Parallel {
    fn new(config: &EngineConfig) -> Self {
        Self { downloads: config.max_downloads.max(1), uploads: config.max_uploads.max(1) }
    }
}

fn registry_client(config: &EngineConfig) -> Client {
    let mut mirrors = config.host_mirrors.clone();
    mirrors.entry("docker.io".to_owned()).or_default().extend(config.registry_mirrors.iter().cloned());
    Client::new(ClientConfig {
        insecure: config.insecure_registries.clone(),
        mirrors,
        proxies: config.proxies.clone(),
        retries: config.max_attempts,
        ..ClientConfig::default()
    })
}

/// `No such image: NAME`, with the tag that was looked for.
fn no_such_image(reference: &AnyReference) -> Error {
    let name = match reference {
        AnyReference::Digest(digest) => digest.to_string(),
        AnyReference::Named(reference) => reference.clone().with_default_tag().familiar(),
    };
    Error::not_found(format!("No such image: {name}"))
}

/// The reference made of a repository and a tag that come apart, as in `repo=x&tag=y`; none for an empty repository. A
/// tag takes the place of the one in `repository`.
///
/// # Errors
/// 400 for a malformed part, or a digest, which cannot be given to an image.
pub fn repository_and_tag(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let reference = Reference::parse(repository)?;
    if reference.digest().is_some() {
        return Err(Error::invalid("cannot import digest reference"));
    }
    if tag.is_empty() {
        return Ok(Some(reference.with_default_tag()));
    }
    Ok(Some(reference.with_tag(tag)?))
}

/// The runtime on which transfers run. Verbs are called from its blocking threads.
fn runtime() -> Result<tokio::runtime::Handle> {
    tokio::runtime::Handle::try_current().map_err(|error| Error::system(error.to_string()))
}

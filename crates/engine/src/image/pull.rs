//! `pull`: images from registries, and the embedded one when none answers.

use std::io::Read;
use std::time::Duration;

use wharf_api::progress::Progress;
use wharf_oci::image::{Descriptor, ImageConfig, Manifest, media_type};
use wharf_oci::{Digest, Platform, Reference, chain_ids};
use wharf_registry::{Error as RegistryError, Fetched, Repository};
use wharf_store::{Error as StoreError, LayerOrigin, LayerSource, Lease, NewImage, Partial, Store};

use super::embedded::Embedded;
use super::fetch::{self, Job, Layers, Origin};
use super::{Cancel, Credentials, Images, embedded, failure, runtime};
use crate::{Error, Result};

/// How long a registry may take to answer for the embedded image before it is made from the binary.
const EMBEDDED_PATIENCE: Duration = Duration::from_secs(2);

/// What a manifest and a configuration are told that are not of one image.
const MISMATCH: &str = "layers from manifest don't match image configuration";

/// What is to be pulled.
#[derive(Debug)]
pub struct PullRequest {
    /// With a tag or digest one image, without both all tags of the repository.
    pub reference: Reference,
    /// The platform whose image is wanted of several; the host's if none.
    pub platform: Option<Platform>,
    /// For the registry.
    pub credentials: Option<Credentials>,
    /// Ends it before its time.
    pub cancel: Cancel,
}

impl PullRequest {
    /// The request that `fromImage` and `tag` mean: a tag, or a digest in its place, replaces that of the name.
    ///
    /// # Errors
    /// 400 for a malformed part.
    pub fn new(from_image: &str, tag: &str) -> Result<Self> {
        let mut reference = Reference::parse(from_image)?;
        if let Ok(digest) = Digest::parse(tag) {
            reference = reference.without_tag().with_digest(digest);
        } else if !tag.is_empty() {
            reference = reference.with_tag(tag)?;
        }
        Ok(Self { reference, platform: None, credentials: None, cancel: Cancel::never() })
    }
}

/// An image in a registry of which only the documents were fetched.
#[derive(Debug)]
pub(crate) struct Announced {
    reference: Reference,
    repository: Repository,
    image: wharf_registry::Image,
    config: ImageConfig,
    config_bytes: bytes::Bytes,
}

impl Announced {
    /// Digest of its configuration.
    pub(crate) fn id(&self) -> &Digest {
        &self.image.manifest.config.digest
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Its name, with the digest of what that stands for.
    pub(crate) fn name(&self) -> String {
        self.reference.clone().with_digest(self.image.digest.clone()).to_string()
    }

    /// A line of the progress of its pull as the reference builder puts it, if that tells of it.
    pub(crate) fn told(&self, line: &Progress) -> Option<String> {
        let layer = self.image.manifest.layers.iter().find(|layer| layer.digest.short() == line.id)?;
        let (digest, size) = (&layer.digest, super::bar::size(layer.size));
        match line.status.as_str() {
            "Download complete" => Some(format!("{digest} {size} / {size} done")),
            "Pull complete" => Some(format!("extracting {digest} done")),
            _ => None,
        }
    }
}

/// An image that is complete in the store but for its rows.
struct Arrived<'a> {
    config: &'a [u8],
    manifest: &'a [u8],
    /// What the repository digest is of: the index if there is one, else the manifest.
    digest: &'a Digest,
}

/// The store as the place where layers go.
pub(super) struct Ingest<'a> {
    pub(super) store: &'a Store,
    pub(super) lease: &'a Lease,
    /// Where they come from.
    pub(super) repository: String,
}

impl Layers for Ingest<'_> {
    fn has(&self, chain: &Digest) -> Result<bool> {
        Ok(self.store.has_chain(chain, self.lease)?.is_some())
    }

    fn partial(&self, job: &Job) -> Result<Partial> {
        Ok(self.store.partial(&job.blob.digest, &job.chain, job.blob.size)?)
    }

    fn ingest(&self, job: &Job, blob: &mut (dyn Read + Send)) -> Result<()> {
        let origin = LayerOrigin {
            repository: self.repository.clone(),
            digest: job.blob.digest.clone(),
            size: job.blob.size,
            media_type: job.blob.media_type.clone(),
        };
        let source = LayerSource {
            parent: job.parent.clone(),
            diff_id: Some(job.diff_id.clone()),
            blob: Some(job.blob.digest.clone()),
            blob_size: Some(job.blob.size),
            origin: Some(origin),
        };
        let ingested = self.store.ingest_layer(blob, source, self.lease);
        ingested.map(drop).map_err(|error| match error {
            StoreError::BlobDigest { .. } | StoreError::BlobSize { .. } | StoreError::Read(_) => error.into(),
            StoreError::DiffId { .. } => Error::system(MISMATCH).caused_by(error),
            error => Error::from(error).context("failed to register layer: "),
        })
    }
}

impl Images {
    /// Pulls an image, or all tags of a repository, and reports its progress.
    ///
    /// # Errors
    /// 403 for the name that stands for no image, 404 if the registry does not have it, 500 with Docker's words for registries that do not answer or lie.
    pub fn pull(&self, request: &PullRequest, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        if request.reference.familiar_name() == "scratch" {
            return Err(Error::forbidden("'scratch' is a reserved name"));
        }
        let pulled = if request.reference.is_name_only() {
            self.pull_tags(request, progress)
        } else {
            self.pull_reference(request, progress)
        };
        // New layers are to be synced, and after a failure those go that came before it and that nobody waits for.
        self.housekeeper.soon();
        let changed = pulled?;
        let name = request.reference.familiar();
        progress(Progress::status(if changed {
            format!("Status: Downloaded newer image for {name}")
        } else {
            format!("Status: Image is up to date for {name}")
        }));
        self.warn_of_platform(request, progress);
        let labels = self.find(&name, None).map(|found| found.record.labels).unwrap_or_default();
        self.publish("pull", &name, &request.reference.familiar_name(), Some(&labels));
        Ok(())
    }

    fn pull_tags(&self, request: &PullRequest, progress: &mut dyn FnMut(Progress)) -> Result<bool> {
        let runtime = runtime()?;
        let client = self.registry();
        let tags = client.tags(&request.reference, request.credentials.as_ref());
        let tags = runtime.block_on(request.cancel.unless(tags)).ok_or_else(failure::cancelled)?;
        let (repository, tags) = tags.map_err(|e| failure::pull(e, &request.reference))?;
        let mut changed = false;
        for tag in tags {
            let reference = request.reference.clone().with_tag(&tag)?;
            let fetched = runtime.block_on(repository.fetch(&reference, &self.cached()));
            let fetched = fetched.map_err(|error| failure::pull(error, &reference))?;
            changed |= self.pull_fetched(&reference, request, &repository, fetched, progress)?;
        }
        Ok(changed)
    }

    fn pull_reference(&self, request: &PullRequest, progress: &mut dyn FnMut(Progress)) -> Result<bool> {
        let reference = &request.reference;
        let resolved = runtime()?.block_on(request.cancel.unless(self.resolve_remote(request)));
        match resolved.ok_or_else(failure::cancelled)? {
            Ok((repository, fetched)) => {
                self.pull_fetched(reference, request, &repository, fetched, progress)
            }
            Err(error) if Embedded::of(reference).is_some() && error.is_unreachable() => {
                self.pull_embedded(reference, &error, progress)
            }
            Err(error) => Err(failure::pull(error, reference)),
        }
    }

    async fn resolve_remote(&self, request: &PullRequest) -> Result<(Repository, Fetched), RegistryError> {
        let reference = &request.reference;
        let cached = self.cached();
        let client = self.registry();
        let resolved = client.resolve(reference, request.credentials.as_ref(), &cached);
        if Embedded::of(reference).is_none() {
            return resolved.await;
        }
        tokio::time::timeout(EMBEDDED_PATIENCE, resolved).await.unwrap_or_else(|_| {
            Err(RegistryError::Transport {
                verb: "Get",
                url: "https://registry-1.docker.io/v2/".to_owned(),
                reason: "no answer".to_owned(),
                unreachable: true,
            })
        })
    }

    /// Looks manifests up in the store.
    fn cached(&self) -> impl Fn(&Digest) -> Option<Vec<u8>> + Send + Sync + '_ {
        |digest| {
            let blob = self.db.read(|view| self.store.images().blob(view, digest));
            blob.ok().flatten().map(String::into_bytes)
        }
    }

    /// Pulls what a manifest or index describes. Returns whether the reference now names another image than before.
    fn pull_fetched(
        &self,
        reference: &Reference,
        request: &PullRequest,
        repository: &Repository,
        fetched: Fetched,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool> {
        let runtime = runtime()?;
        let cached = self.cached();
        announce(reference, progress);
        let image = runtime
            .block_on(request.cancel.unless(repository.image(fetched, request.platform.as_ref(), &cached)))
            .ok_or_else(failure::cancelled)?
            .map_err(|e| failure::pull(e, reference))?;
        let id = &image.manifest.config.digest;
        let lease = self.store.lease();
        let known = cached(id);
        let unfinished = known.is_none();
        let config = match known {
            Some(config) => {
                // The image is here; the manifest may still be another's.
                jobs(&image.manifest, &config)?;
                config.into()
            }
            None => {
                let config = runtime
                    .block_on(request.cancel.unless(repository.small_blob(&image.manifest.config)))
                    .ok_or_else(failure::cancelled)?
                    .map_err(failure::registry)?;
                let layers = Ingest { store: &self.store, lease: &lease, repository: reference.name() };
                let from = self.origin(repository, &layers, &runtime, &request.cancel);
                self.fetch_layers(id, jobs(&image.manifest, &config)?, &from, progress)?;
                config
            }
        };
        let arrived = Arrived { config: &config, manifest: &image.body, digest: &image.digest };
        let changed = self.commit(reference, &arrived)?;
        if unfinished {
            self.store.pull_ended(id.as_str())?;
        }
        progress(Progress::status(format!("Digest: {}", image.digest)));
        Ok(changed)
    }

    /// Finds an image in its registry without fetching its layers; `None` if it is one that need not come from there.
    ///
    /// # Errors
    /// Those of [`Images::pull`].
    pub(crate) fn announce(&self, request: &PullRequest) -> Result<Option<Announced>> {
        let reference = &request.reference;
        if Embedded::of(reference).is_some() {
            return Ok(None);
        }
        let cached = self.cached();
        let found = runtime()?.block_on(async {
            let (repository, fetched) = self.resolve_remote(request).await?;
            let image = repository.image(fetched, request.platform.as_ref(), &cached).await?;
            let config = repository.small_blob(&image.manifest.config).await?;
            Ok((repository, image, config))
        });
        let (repository, image, config_bytes) = found.map_err(|error| failure::pull(error, reference))?;
        // Refuses what no image can be made of.
        jobs(&image.manifest, &config_bytes)?;
        let config = ImageConfig::parse(&config_bytes).map_err(|error| Error::system(error.to_string()))?;
        Ok(Some(Announced { reference: reference.clone(), repository, image, config, config_bytes }))
    }

    /// Pulls an image that was found in its registry.
    ///
    /// # Errors
    /// Those of [`Images::pull`].
    pub(crate) fn pull_announced(
        &self,
        announced: &Announced,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let fetched = self.fetch_announced(announced, cancel, progress);
        self.housekeeper.soon();
        fetched?;
        let (reference, labels) = (&announced.reference, announced.config.config.labels.as_ref());
        self.publish("pull", &reference.familiar(), &reference.familiar_name(), labels);
        Ok(())
    }

    fn fetch_announced(
        &self,
        announced: &Announced,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let Announced { reference, repository, image, config_bytes, .. } = announced;
        let runtime = runtime()?;
        let lease = self.store.lease();
        let layers = Ingest { store: &self.store, lease: &lease, repository: reference.name() };
        let from = self.origin(repository, &layers, &runtime, cancel);
        let id = announced.id();
        self.fetch_layers(id, jobs(&image.manifest, config_bytes)?, &from, progress)?;
        let arrived = Arrived { config: config_bytes, manifest: &image.body, digest: &image.digest };
        self.commit(reference, &arrived)?;
        Ok(self.store.pull_ended(id.as_str())?)
    }

    /// Fetches the layers of the image `id`. After an interruption those that are complete stay for the next pull.
    fn fetch_layers(
        &self,
        id: &Digest,
        jobs: Vec<Job>,
        from: &Origin<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let chains: Vec<Digest> = jobs.iter().map(|job| job.chain.clone()).collect();
        let _running = self.store.pull_begun(id.as_str(), &chains)?;
        let fetched = fetch::fetch(jobs, from, progress);
        if let Err(error) = &fetched
            && !failure::is_interruption(error)
        {
            self.store.pull_ended(id.as_str())?;
        }
        fetched
    }

    /// Writes the rows of an image whose layers are stored. Returns whether the reference named another one before.
    fn commit(&self, reference: &Reference, arrived: &Arrived<'_>) -> Result<bool> {
        self.db.write(|tx| {
            let images = self.store.images();
            let new = NewImage { config: arrived.config, manifest: Some(arrived.manifest), parent: None };
            let record = images.put(tx, new)?;
            let before = images.by_reference(tx, reference)?.map(|record| record.id);
            let digest = reference.clone().without_tag().with_digest(arrived.digest.clone());
            images.name(tx, &digest, &record.id)?;
            if reference.digest().is_none() {
                images.name(tx, reference, &record.id)?;
            }
            Ok(before.as_ref() != Some(&record.id))
        })
    }

    /// Makes an embedded image from the running binary.
    pub(super) fn pull_embedded(
        &self,
        reference: &Reference,
        error: &RegistryError,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool> {
        tracing::info!(%reference, %error, "no registry answers, making the embedded image");
        announce(reference, progress);
        progress(Progress::status(
            "No registry answers: taking the image that wharf carries in its own binary",
        ));
        let failed = |error: std::io::Error| Error::io("read", &self.binary, error);
        let layer = embedded::Layer::open(&self.binary).map_err(failed)?;
        let diff_id = layer.diff_id().map_err(failed)?;
        let id = diff_id.short().to_owned();
        let lease = self.store.lease();
        let _claim = self.claims.claim(&diff_id);
        let size = match self.store.has_chain(&diff_id, &lease)? {
            Some(info) => {
                progress(Progress::step(id, "Already exists"));
                info.tar_size
            }
            None => {
                progress(Progress::step(id.clone(), "Pulling fs layer"));
                let source = LayerSource { diff_id: Some(diff_id.clone()), ..LayerSource::default() };
                let info = self.store.ingest_layer(&mut layer.read().map_err(failed)?, source, &lease)?;
                progress(Progress::step(id, "Pull complete"));
                info.tar_size
            }
        };
        let json = |error: serde_json::Error| Error::system(error.to_string());
        let image = Embedded::of(reference).unwrap_or(Embedded::HelloWorld);
        let config = serde_json::to_vec(&image.config(diff_id.clone(), layer.created)).map_err(json)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST.to_owned(),
            config: Descriptor::of(media_type::OCI_CONFIG, &config),
            layers: vec![Descriptor::new(media_type::OCI_LAYER, diff_id.clone(), size)],
            annotations: Default::default(),
            extra: Default::default(),
        };
        let manifest = serde_json::to_vec(&manifest).map_err(json)?;
        let digest = Digest::sha256(&manifest);
        let changed =
            self.commit(reference, &Arrived { config: &config, manifest: &manifest, digest: &digest })?;
        progress(Progress::status(format!("Digest: {digest}")));
        Ok(changed)
    }

    /// Says so when the image is for another platform than was asked for.
    fn warn_of_platform(&self, request: &PullRequest, progress: &mut dyn FnMut(Progress)) {
        let Some(platform) = &request.platform else { return };
        if request.reference.is_name_only() {
            return;
        }
        if let Err(error) = self.find(&request.reference.to_string(), Some(platform)) {
            progress(Progress::status(format!("WARNING: {error}")));
        }
    }
}

fn announce(reference: &Reference, progress: &mut dyn FnMut(Progress)) {
    let id = match reference.digest() {
        Some(_) => reference.familiar(),
        None => reference.tag().unwrap_or_default().to_owned(),
    };
    progress(Progress { id, ..Progress::status(format!("Pulling from {}", reference.path())) });
}

/// Pairs the blobs of a manifest with the layers of the configuration.
fn jobs(manifest: &Manifest, config: &[u8]) -> Result<Vec<Job>> {
    let config =
        ImageConfig::parse(config).map_err(|e| Error::system(format!("invalid image configuration: {e}")))?;
    if !config.os.is_empty() && config.os != std::env::consts::OS {
        return Err(Error::system(format!(
            "image operating system {:?} cannot be used on this platform: operating system is not supported",
            config.os
        )));
    }
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        return Err(Error::system(MISMATCH));
    }
    wharf_store::check_depth(&config)
        .map_err(|error| Error::from(error).context("failed to register layer: "))?;
    let chains = chain_ids(diff_ids);
    let parents = std::iter::once(None).chain(chains.iter().cloned().map(Some));
    let all = manifest.layers.iter().zip(diff_ids).zip(chains.iter().zip(parents));
    Ok(all
        .map(|((blob, diff_id), (chain, parent))| Job {
            blob: blob.clone(),
            diff_id: diff_id.clone(),
            chain: chain.clone(),
            parent,
        })
        .collect())
}

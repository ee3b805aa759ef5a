//! What the builder wants of registries: documents and layers that belong to no image of this store.

use wharf_oci::image::{Descriptor, Document};
use wharf_oci::{Digest, Reference};
use wharf_registry::{Fetched, Repository};
use wharf_store::{LayerInfo, LayerOrigin, Lease};

use super::fetch::{self, Job};
use super::pull::Ingest;
use super::push::mount_sources;
use super::upload::{self, Job as Upload, Target};
use super::{Cancel, Credentials, Images, failure, runtime};
use crate::{Error, Result};

/// A repository that something was found in.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    repository: Repository,
    reference: Reference,
}

/// A layer that is to be fetched.
#[derive(Debug, Clone)]
pub(crate) struct RemoteLayer {
    /// Its blob.
    pub(crate) blob: Descriptor,
    /// Digest of its tar.
    pub(crate) diff_id: Digest,
    /// Identity of it together with those below.
    pub(crate) chain: Digest,
    /// Identity of those below.
    pub(crate) parent: Option<Digest>,
}

impl Images {
    /// Finds what a reference names.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) fn find_remote(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<(Remote, Document)> {
        let nothing = |_: &Digest| None;
        let client = self.registry();
        let resolved = runtime()?.block_on(client.resolve(reference, credentials, &nothing));
        let (repository, Fetched { document, .. }) =
            resolved.map_err(|error| failure::pull(error, reference))?;
        Ok((Remote { repository, reference: reference.clone() }, document))
    }

    /// A manifest of a repository.
    ///
    /// # Errors
    /// The registry's, or it is another one than its digest says.
    pub(crate) fn remote_manifest(&self, remote: &Remote, digest: &Digest) -> Result<Document> {
        let nothing = |_: &Digest| None;
        let fetched = runtime()?.block_on(remote.repository.by_digest(digest, &nothing));
        Ok(fetched.map_err(failure::registry)?.document)
    }

    /// A document of a repository.
    ///
    /// # Errors
    /// The registry's, or it is another one than its digest says, or too large.
    pub(crate) fn remote_document(&self, remote: &Remote, blob: &Descriptor) -> Result<Vec<u8>> {
        let fetched = runtime()?.block_on(remote.repository.small_blob(blob));
        Ok(fetched.map_err(failure::registry)?.into())
    }

    /// Fetches layers, bottom first, that are not stored.
    ///
    /// # Errors
    /// The registry's, or a layer is another one than its digests say.
    pub(crate) fn fetch_remote(
        &self,
        remote: &Remote,
        layers: &[RemoteLayer],
        lease: &Lease,
        cancel: &Cancel,
    ) -> Result<()> {
        let job = |layer: &RemoteLayer| Job {
            blob: layer.blob.clone(),
            diff_id: layer.diff_id.clone(),
            chain: layer.chain.clone(),
            parent: layer.parent.clone(),
        };
        let ingest = Ingest { store: &self.store, lease, repository: remote.reference.name() };
        let runtime = runtime()?;
        let origin = self.origin(&remote.repository, &ingest, &runtime, cancel);
        fetch::fetch(layers.iter().map(job).collect(), &origin, &mut |_| {})
    }

    /// Brings layers into the repository of a reference and returns their compressed forms there in the same order.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) fn push_layers(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
        layers: &[LayerInfo],
    ) -> Result<(Remote, Vec<LayerOrigin>)> {
        let sources = mount_sources(layers.iter(), reference);
        let runtime = runtime()?;
        let client = self.registry();
        let connected = client.push_to(reference, credentials, &sources);
        let repository = runtime.block_on(connected).map_err(failure::push)?;
        let parallel = self.parallel().uploads;
        let target = Target {
            repository: &repository,
            name: reference,
            store: &self.store,
            runtime: &runtime,
            cancel: &Cancel::never(),
            parallel,
        };
        let jobs = layers.iter().map(|info| Upload { info: info.clone(), wanted: None });
        let placed = upload::upload(jobs.collect(), &target, &mut |_| {})?;
        Ok((Remote { repository, reference: reference.clone() }, placed))
    }

    /// Puts a document into a repository.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) fn push_document(&self, remote: &Remote, digest: &Digest, body: Vec<u8>) -> Result<()> {
        runtime()?.block_on(remote.repository.put_blob(digest, body.into())).map_err(failure::push)
    }

    /// Puts a manifest under the tag of the reference that the repository was found by.
    ///
    /// # Errors
    /// The registry's, or the reference has a digest.
    pub(crate) fn push_manifest(&self, remote: &Remote, media_type: &str, body: Vec<u8>) -> Result<()> {
        if remote.reference.digest().is_some() {
            return Err(Error::invalid("a cache cannot be pushed by digest"));
        }
        let tag = remote.reference.tag().unwrap_or("latest");
        let put = remote.repository.put_manifest(tag, media_type, body.into());
        runtime()?.block_on(put).map(drop).map_err(failure::push)
    }
}

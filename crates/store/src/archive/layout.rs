//! OCI image layouts: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use wharf_oci::image::{Descriptor, Document, Index, Manifest, media_type};
use wharf_oci::{Digest, Matcher, Platform, Reference};

use super::load::{Found, parse};
use super::spool::Spool;
use crate::layer::LayerSource;
use crate::{Error, Result};

/// Indexes within indexes, at most.
const MAX_DEPTH: usize = 4;

/// The images of a layout: those its index names, for one platform where there are several.
pub(crate) fn images(spool: &Spool, platform: Option<&Platform>) -> Result<Vec<Found>> {
    let index: Index = spool.document("index.json")?;
    let wanted = Matcher::new(&platform.cloned().unwrap_or_else(Platform::host));
    let mut found = Vec::new();
    for descriptor in index.manifests.iter().filter(|descriptor| !is_attestation(descriptor)) {
        let names = name(descriptor).into_iter().collect();
        if let Some((manifest, bytes)) = resolve(spool, descriptor, &wanted, 0)? {
            found.push(image(spool, manifest, bytes, names)?);
        }
    }
    Ok(found)
}

/// The manifest a descriptor leads to; through indexes, the best for the platform. `None` if none is for it, or if it is
/// no image but some other artifact.
fn resolve(
    spool: &Spool,
    descriptor: &Descriptor,
    wanted: &Matcher,
    depth: usize,
) -> Result<Option<(Manifest, Vec<u8>)>> {
    let bytes = blob(spool, &descriptor.digest)?;
    let document = Document::parse(Some(&descriptor.media_type), &bytes)
        .map_err(|source| Error::Document { what: format!("manifest {}", descriptor.digest), source })?;
    let index = match document {
        Document::Manifest(manifest) if media_type::is_config(&manifest.config.media_type) => {
            return Ok(Some((*manifest, bytes)));
        }
        Document::Manifest(_) => return Ok(None),
        Document::Index(_) if depth == MAX_DEPTH => {
            return Err(Error::Archive("invalid image archive: indexes nested too deeply".to_owned()));
        }
        Document::Index(index) => index,
    };
    let rank = |descriptor: &&Descriptor| match &descriptor.platform {
        Some(platform) => wanted.rank(platform),
        // Unsaid, it can only be found out by its configuration; it comes last.
        None => Some(usize::MAX),
    };
    let candidates = index.manifests.iter().filter(|descriptor| !is_attestation(descriptor));
    let best = candidates.filter(|d| rank(d).is_some()).min_by_key(rank);
    best.map_or(Ok(None), |best| resolve(spool, best, wanted, depth + 1))
}

fn image(spool: &Spool, manifest: Manifest, bytes: Vec<u8>, names: Vec<Reference>) -> Result<Found> {
    let config = blob(spool, &manifest.config.digest)?;
    parse(&config)?;
    let layers = manifest.layers.into_iter().map(|layer| {
        let name = path(&layer.digest);
        let source =
            LayerSource { blob: Some(layer.digest), blob_size: Some(layer.size), ..LayerSource::default() };
        (name, source)
    });
    Ok(Found { config, layers: layers.collect(), manifest: Some(bytes), names, parent: None })
}

/// Reads a document and checks that it is the one its digest promises.
fn blob(spool: &Spool, digest: &Digest) -> Result<Vec<u8>> {
    let bytes = spool.bytes(&path(digest))?;
    if digest.matches(&bytes) {
        return Ok(bytes);
    }
    Err(Error::Archive(format!("invalid image archive: content of {digest} has another digest")))
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// The name of an image: in full as containerd and Docker write it, or the reference name where that is more than a tag.
fn name(descriptor: &Descriptor) -> Option<Reference> {
    let full = descriptor.annotations.get("io.containerd.image.name");
    let short = descriptor.annotations.get("org.opencontainers.image.ref.name");
    let name = full.or_else(|| short.filter(|name| name.contains(['/', ':'])))?;
    Reference::parse(name).ok().filter(|name| name.digest().is_none())
}

/// Build attestations stand beside images under the platform unknown/unknown.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key("vnd.docker.reference.type")
}

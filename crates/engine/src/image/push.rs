//! `push`: images to registries.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;
use wharf_api::progress::{Progress, ProgressDetail};
use wharf_db::View;
use wharf_oci::image::{Descriptor, Document, Manifest, media_type};
use wharf_oci::{Digest, Platform, Reference};
use wharf_store::{ImageRecord, LayerInfo, LayerOrigin, NewImage};

use super::annotations::{Annotations, Named};
use super::upload::{self, Job, Target};
use super::{BuiltImage, Cancel, Credentials, Images, failure, runtime};
use crate::{Error, Result};

/// What is to be pushed.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// With a tag one image, without all tags of the repository.
    pub reference: Reference,
    /// The platform the image has to be for.
    pub platform: Option<Platform>,
    /// For the registry.
    pub credentials: Option<Credentials>,
    /// Ends it before its time.
    pub cancel: Cancel,
}

/// An image to be pushed under a name.
pub(super) struct Outgoing {
    reference: Reference,
    record: ImageRecord,
    config: String,
    /// Bottom first.
    pub(super) layers: Vec<LayerInfo>,
    /// A manifest it came with whose layers may all be in registries still, as bytes and as what they say.
    known: Option<(String, Manifest)>,
    /// Those of its manifest.
    annotations: Named,
}

/// A manifest as it is put.
struct Body {
    media_type: String,
    bytes: Vec<u8>,
}

impl Images {
    /// Pushes an image, or all tags of a repository, and reports its progress.
    ///
    /// # Errors
    /// 404 before anything is reported when the image is for another platform. Everything later comes after the first
    /// line: an image that is not there, and whatever the registry refuses.
    pub fn push(&self, request: &PushRequest, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let name = &request.reference;
        if let Some(platform) = &request.platform {
            self.find(&name.clone().with_default_tag().familiar(), Some(platform))?;
        }
        progress(Progress::status(format!("The push refers to repository [{}]", name.name())));
        let (images, known) =
            self.db.read(|view| Ok::<_, Error>((self.outgoing(view, name)?, self.knows(view, name)?)))?;
        if !known {
            let name = name.familiar_name();
            return Err(Error::not_found(format!("An image does not exist locally with the tag: {name}")));
        }
        // A removal meanwhile must not take the layers away.
        let lease = self.store.lease();
        for chain in images.iter().flat_map(|image| &image.record.chains) {
            self.store.has_chain(chain, &lease)?;
        }
        let runtime = runtime()?;
        let sources = mount_sources(images.iter().flat_map(|image| &image.layers), name);
        let client = self.registry();
        let connected = client.push_to(name, request.credentials.as_ref(), &sources);
        let cancel = &request.cancel;
        let connected = runtime.block_on(cancel.unless(connected)).ok_or_else(failure::cancelled)?;
        let repository = connected.map_err(failure::push)?;
        // compat: only a registry that answers gets to hear of it.
        if name.digest().is_some() {
            return Err(Error::invalid("cannot push a digest reference"));
        }
        if images.is_empty() {
            return Err(Error::not_found(format!(
                "tag does not exist: {}",
                name.clone().with_default_tag().familiar()
            )));
        }
        let parallel = self.parallel().uploads;
        let target =
            Target { repository: &repository, name, store: &self.store, runtime: &runtime, cancel, parallel };
        for image in &images {
            self.push_image(image, &target, progress)?;
        }
        let labels = &images[0].record.labels;
        self.publish("push", &name.familiar(), &name.familiar_name(), Some(labels));
        Ok(())
    }

    /// The images that are meant, ordered by tag.
    fn outgoing(&self, view: &View<'_>, name: &Reference) -> Result<Vec<Outgoing>> {
        let images = self.store.images();
        let mut found: Vec<(Reference, ImageRecord)> = if name.is_name_only() {
            let all = images.list(view)?.into_iter();
            all.flat_map(|image| {
                let same = image.tags.into_iter().filter(|tag| tag.name() == name.name());
                same.map(|tag| (tag, image.record.clone())).collect::<Vec<_>>()
            })
            .collect()
        } else {
            images.by_reference(view, name)?.map(|record| (name.clone(), record)).into_iter().collect()
        };
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.into_iter().map(|(reference, record)| self.describe(view, reference, record)).collect()
    }

    /// Whether any image has a name in this repository.
    fn knows(&self, view: &View<'_>, name: &Reference) -> Result<bool> {
        let images = self.store.images().list(view)?;
        let mut names = images.iter().flat_map(|image| image.tags.iter().chain(&image.digests));
        Ok(names.any(|known| known.name() == name.name()))
    }

    fn describe(&self, view: &View<'_>, reference: Reference, record: ImageRecord) -> Result<Outgoing> {
        let images = self.store.images();
        let layers = record.chains.iter().map(|chain| self.store.layer(view, chain));
        let layers = layers.collect::<wharf_store::Result<Vec<_>>>()?;
        let config = images.config_bytes(view, &record.id)?;
        let mut known = None;
        for digest in record.manifests.iter().rev() {
            let Some(text) = images.blob(view, digest)? else { continue };
            if let Ok(Document::Manifest(manifest)) = Document::parse(None, text.as_bytes())
                && is_in_registries(&manifest, &record.id, &layers)
            {
                known = Some((text, *manifest));
                break;
            }
        }
        Ok(Outgoing { reference, record, config, layers, known, annotations: Named::new() })
    }

    pub(super) fn push_image(
        &self,
        image: &Outgoing,
        target: &Target<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Digest> {
        let body = self.upload_blobs(image, target, progress)?;
        let tag = image.reference.tag().unwrap_or("latest");
        let put = target.repository.put_manifest(tag, &body.media_type, body.bytes.clone().into());
        let digest = target.wait(put)?;
        self.pushed(image, &body, &digest)?;
        let (tag, size) = (image.reference.tag().unwrap_or_default(), body.bytes.len());
        progress(Progress::status(format!("{tag}: digest: {digest} size: {size}")));
        progress(Progress {
            detail: Some(ProgressDetail::default()),
            aux: Some(json!({"Tag": tag, "Digest": digest, "Size": size})),
            ..Progress::default()
        });
        Ok(digest)
    }

    /// Uploads layers and configuration, and returns the manifest that names them.
    fn upload_blobs(
        &self,
        image: &Outgoing,
        target: &Target<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Body> {
        let wanted = image.known.as_ref().map(|(_, manifest)| &manifest.layers);
        let jobs = image.layers.iter().enumerate().map(|(at, info)| Job {
            info: info.clone(),
            wanted: wanted.map(|layers| layers[at].digest.clone()),
        });
        let jobs = jobs.collect();
        let config = target.repository.put_blob(&image.record.id, image.config.clone().into_bytes().into());
        // Layers are awaited on threads of their own: the configuration goes at the same time.
        let (placed, config) = std::thread::scope(|scope| {
            let config = scope.spawn(|| target.wait(config));
            let placed = upload::upload(jobs, target, progress);
            (placed, config.join().unwrap_or_else(|_| Err(Error::system("the configuration was not pushed"))))
        });
        let placed = placed?;
        config?;
        body(image, &placed)
    }

    /// Pushes an image that is to be found by its digest only, which an index then names.
    pub(super) fn push_by_digest(
        &self,
        image: &Outgoing,
        target: &Target<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Descriptor> {
        let body = self.upload_blobs(image, target, progress)?;
        let entry = Descriptor::of(&body.media_type, &body.bytes);
        let put = target.repository.put_manifest(entry.digest.as_str(), &body.media_type, body.bytes.into());
        target.wait(put)?;
        Ok(entry)
    }

    /// An image that need not be stored, as it is pushed.
    pub(super) fn outgoing_built(
        &self,
        name: &Reference,
        (record, config): &BuiltImage,
        annotations: &Annotations,
    ) -> Result<Outgoing> {
        let annotations = annotations.manifest(&record.platform);
        let layers = self.db.read(|view| {
            let layers = record.chains.iter().map(|chain| self.store.layer(view, chain));
            layers.collect::<wharf_store::Result<Vec<_>>>()
        })?;
        let (record, config) = (record.clone(), config.clone());
        Ok(Outgoing { reference: name.clone(), record, config, layers, known: None, annotations })
    }

    /// Remembers under which digest the image now is in the repository.
    fn pushed(&self, image: &Outgoing, body: &Body, digest: &Digest) -> Result<()> {
        self.db.write(|tx| {
            let images = self.store.images();
            if images.get(tx, &image.record.id)?.is_none() {
                // Removed meanwhile.
                return Ok(());
            }
            let (config, manifest) = (image.config.as_bytes(), Some(body.bytes.as_slice()));
            images.put(tx, NewImage { config, manifest, parent: None })?;
            let by_digest = image.reference.clone().without_tag().with_digest(digest.clone());
            images.name(tx, &by_digest, &image.record.id)?;
            Ok(())
        })
    }
}

/// Paths of repositories in the registry of `target` that these layers came from.
pub(super) fn mount_sources<'a>(
    layers: impl Iterator<Item = &'a LayerInfo>,
    target: &Reference,
) -> Vec<String> {
    let origins = layers.flat_map(|layer| &layer.origins);
    let paths: BTreeSet<String> = origins
        .filter_map(|origin| Reference::parse(&origin.repository).ok())
        .filter(|source| source.domain() == target.domain() && source.path() != target.path())
        .map(|source| source.path().to_owned())
        .collect();
    paths.into_iter().collect()
}

/// Whether a manifest is of this image and each of its blobs was seen in a registry, so that it may be used again.
fn is_in_registries(manifest: &Manifest, id: &Digest, layers: &[LayerInfo]) -> bool {
    manifest.config.digest == *id
        && manifest.layers.len() == layers.len()
        && manifest.layers.iter().zip(layers).all(|(blob, layer)| {
            layer.origins.iter().any(|origin| origin.digest == blob.digest && origin.size == blob.size)
        })
}

/// The manifest the image came with if the registry has just those layers, else a new one of Docker's form; with a zstd
/// layer or annotations of OCI's, as Docker's has no name for that.
fn body(image: &Outgoing, placed: &[LayerOrigin]) -> Result<Body> {
    if let Some((text, manifest)) = &image.known
        && manifest.layers.iter().map(|layer| &layer.digest).eq(placed.iter().map(|layer| &layer.digest))
    {
        let said = manifest.media_type.as_str();
        let media_type = if said.is_empty() { media_type::OCI_MANIFEST } else { said }.to_owned();
        return Ok(Body { media_type, bytes: text.clone().into_bytes() });
    }
    let zstd = placed.iter().any(|layer| layer.media_type == media_type::OCI_LAYER_ZSTD);
    let (kind, config, gzip) = match zstd || !image.annotations.is_empty() {
        true => (media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER_GZIP),
        false => (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG, media_type::DOCKER_LAYER_GZIP),
    };
    let entry =
        |kind: &str, size: u64, digest: &Digest| json!({"mediaType": kind, "size": size, "digest": digest});
    let layers: Vec<_> = placed
        .iter()
        .map(|layer| match layer.media_type.as_str() {
            media_type::OCI_LAYER_ZSTD => entry(media_type::OCI_LAYER_ZSTD, layer.size, &layer.digest),
            _ => entry(gzip, layer.size, &layer.digest),
        })
        .collect();
    let config = Descriptor::of(config, image.config.as_bytes());
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": entry(&config.media_type, config.size, &config.digest),
        "layers": layers,
    });
    if !image.annotations.is_empty() {
        manifest["annotations"] = json!(image.annotations);
    }
    // compat: Docker's manifests are indented by three spaces, and their length is shown to users.
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    manifest.serialize(&mut serializer).map_err(|error| Error::system(error.to_string()))?;
    Ok(Body { media_type: kind.to_owned(), bytes })
}

//! Images for several platforms under one name: an index of them, in a registry.

use std::collections::HashMap;

use serde_json::{Value, json};
use wharf_api::progress::Progress;
use wharf_oci::image::{Descriptor, media_type};
use wharf_oci::{Digest, Reference};
use wharf_store::ImageRecord;

use super::annotations::{Annotations, Named};
use super::upload::Target;
use super::{Cancel, Credentials, Images, failure, runtime};
use crate::Result;

/// An image that need not be stored, and its configuration.
pub(crate) type BuiltImage = (ImageRecord, String);

/// An index of images.
pub(super) fn document(kind: &str, manifests: &[Descriptor], annotations: &Named) -> Value {
    let mut index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests});
    if !annotations.is_empty() {
        index["annotations"] = json!(annotations);
    }
    index
}

impl Images {
    /// Pushes images for different platforms and an index of them under each of these names, or a single image as it is;
    /// returns the digest of what the names then stand for. Their layers must be held by a lease.
    ///
    /// # Errors
    /// Whatever a registry refuses.
    pub(crate) fn push_index(
        &self,
        images: &[BuiltImage],
        names: &[Reference],
        credentials: &HashMap<String, Credentials>,
        annotations: &Annotations,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Digest>> {
        let runtime = runtime()?;
        // The build that it is part of ends with its client.
        let cancel = &Cancel::never();
        let client = self.registry();
        let mut digest = None;
        for name in names {
            let outgoing = images.iter().map(|image| self.outgoing_built(name, image, annotations));
            let outgoing = outgoing.collect::<Result<Vec<_>>>()?;
            let sources = super::push::mount_sources(outgoing.iter().flat_map(|image| &image.layers), name);
            let connected = client.push_to(name, credentials.get(name.domain()), &sources);
            let repository = runtime.block_on(connected).map_err(failure::push)?;
            let parallel = self.parallel().uploads;
            let store = &self.store;
            let target = Target { repository: &repository, name, store, runtime: &runtime, cancel, parallel };
            if let [image] = outgoing.as_slice() {
                digest = Some(self.push_image(image, &target, progress)?);
                continue;
            }
            let mut manifests = Vec::new();
            for (image, (record, _)) in outgoing.iter().zip(images) {
                let entry = self.push_by_digest(image, &target, progress)?;
                let annotations = annotations.manifest_descriptor(&record.platform);
                manifests.push(Descriptor { platform: Some(record.platform.clone()), annotations, ..entry });
            }
            let of_index = annotations.index();
            let docker = of_index.is_empty()
                && manifests.iter().all(|entry| entry.media_type == media_type::DOCKER_MANIFEST);
            let kind = if docker { media_type::DOCKER_MANIFEST_LIST } else { media_type::OCI_INDEX };
            let bytes = document(kind, &manifests, &of_index).to_string().into_bytes();
            let tag = name.tag().unwrap_or("latest");
            progress(Progress::status(format!("pushing manifest for {name}")));
            let put = repository.put_manifest(tag, kind, bytes.into());
            digest = Some(target.wait(put)?);
            self.publish("push", &name.familiar(), &name.familiar_name(), None);
        }
        Ok(digest)
    }
}

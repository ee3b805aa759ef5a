//! A manifest with what is known about it, and lists of them, in the forms of Docker's command line.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wharf_oci::{
    Platform, Reference,
    image::{Descriptor, media_type},
};

use super::json;
use crate::{Error, Result};

/// A manifest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// What it was asked for by.
    pub(super) reference: Reference,
    /// Its media type, digest, length and platform.
    pub(super) descriptor: Descriptor,
    /// Its bytes.
    pub(super) body: Vec<u8>,
}

/// The document that files keep and `--verbose` shows. The manifest is in it twice: as bytes, and to be read.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    #[serde(rename = "Ref")]
    reference: Reference,
    descriptor: Descriptor,
    raw: String,
    #[serde(rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none", skip_deserializing)]
    docker: Option<Box<RawValue>>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none", skip_deserializing)]
    oci: Option<Box<RawValue>>,
}

/// A member of a list. Docker's order differs from that of OCI descriptors, and so would the digest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Member<'a> {
    media_type: &'a str,
    size: u64,
    digest: &'a wharf_oci::Digest,
    platform: Platform,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<Member<'a>>,
}

impl Entry {
    /// The document that is stored and shown, on one line.
    ///
    /// # Errors
    /// The manifest is not JSON.
    pub(super) fn document(&self) -> Result<String> {
        let manifest = String::from_utf8(json::compact(&self.body)).map_err(invalid)?;
        let manifest = Some(RawValue::from_string(manifest).map_err(invalid)?);
        let (docker, oci) = match self.descriptor.media_type.as_str() {
            media_type::OCI_MANIFEST => (None, manifest),
            _ => (manifest, None),
        };
        let (reference, descriptor) = (self.reference.clone(), self.descriptor.clone());
        let stored = Stored { reference, descriptor, raw: STANDARD.encode(&self.body), docker, oci };
        Ok(json::escaped(&serde_json::to_string(&stored).map_err(invalid)?))
    }

    /// Reads such a document.
    ///
    /// # Errors
    /// It is malformed, or its digest is not that of the manifest in it.
    pub(super) fn parse(document: &[u8]) -> Result<Self> {
        let Stored { reference, descriptor, raw, .. } = serde_json::from_slice(document).map_err(invalid)?;
        let body = STANDARD.decode(raw).map_err(invalid)?;
        if !descriptor.digest.matches(&body) {
            return Err(Error::message(format!(
                "image manifest digest mismatch ({} != {})",
                descriptor.digest,
                wharf_oci::Digest::sha256(&body)
            )));
        }
        Ok(Self { reference, descriptor, body })
    }
}

fn invalid(error: impl std::error::Error) -> Error {
    Error::message(error.to_string())
}

/// The list of `entries` under the name `target` with its media type: the bytes that go to a registry.
///
/// # Errors
/// A manifest lies in another registry than the list.
pub(super) fn list(target: &Reference, entries: &[Entry]) -> Result<(&'static str, String)> {
    let mut manifests = Vec::new();
    for entry in entries {
        let (source, target) = (entry.reference.domain(), target.domain());
        if source != target {
            return Err(Error::message(format!(
                "cannot use source images from a different registry than the target image: {source} != {target}"
            )));
        }
        let Descriptor { media_type, size, digest, platform, .. } = &entry.descriptor;
        let platform = platform.clone().unwrap_or_default();
        manifests.push(Member { media_type, size: *size, digest, platform });
    }
    let media_type = match manifests.first() {
        Some(first) if first.media_type == media_type::OCI_MANIFEST => media_type::OCI_INDEX,
        _ => media_type::DOCKER_MANIFEST_LIST,
    };
    let list = serde_json::to_string(&List { schema_version: 2, media_type, manifests }).map_err(invalid)?;
    Ok((media_type, json::indented(json::escaped(&list).as_bytes(), "   ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn entry() -> Entry {
        let body = br#"{"schemaVersion": 2, "annotations": {"a": "<b>"}, "layers": []}"#.to_vec();
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, &body);
        descriptor.platform = Some(Platform::parse("linux/arm/v6").unwrap());
        Entry { reference: Reference::parse("reg.example/a/b:c").unwrap(), descriptor, body }
    }

    #[test]
    fn documents_are_dockers() {
        let document = entry().document().unwrap();
        expect![[r#"{"Ref":"reg.example/a/b:c","Descriptor":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:a2fb5859728713a5d038d090a41ddbf00beeb704463e7673f2fe9f67b82cc617","size":63,"platform":{"architecture":"arm","os":"linux","variant":"v6"}},"Raw":"eyJzY2hlbWFWZXJzaW9uIjogMiwgImFubm90YXRpb25zIjogeyJhIjogIjxiPiJ9LCAibGF5ZXJzIjogW119","OCIManifest":{"schemaVersion":2,"annotations":{"a":"\u003cb\u003e"},"layers":[]}}"#]]
        .assert_eq(&document);
        assert_eq!(Entry::parse(document.as_bytes()).unwrap(), entry());
    }

    #[test]
    fn a_changed_manifest_is_noticed() {
        let other = Entry { body: b"{}".to_vec(), ..entry() };
        assert!(
            Entry::parse(other.document().unwrap().as_bytes()).unwrap_err().to_string().contains("mismatch")
        );
    }

    #[test]
    fn lists_are_dockers() {
        let (kind, list) = list(&Reference::parse("reg.example/a/list:1").unwrap(), &[entry()]).unwrap();
        assert_eq!(kind, media_type::OCI_INDEX);
        expect![[r#"
            {
               "schemaVersion": 2,
               "mediaType": "application/vnd.oci.image.index.v1+json",
               "manifests": [
                  {
                     "mediaType": "application/vnd.oci.image.manifest.v1+json",
                     "size": 63,
                     "digest": "sha256:a2fb5859728713a5d038d090a41ddbf00beeb704463e7673f2fe9f67b82cc617",
                     "platform": {
                        "architecture": "arm",
                        "os": "linux",
                        "variant": "v6"
                     }
                  }
               ]
            }"#]]
        .assert_eq(&list);
    }
}

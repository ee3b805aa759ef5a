//! What a registry needs to know of a manifest, whatever kind it is.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use wharf_oci::Digest;
use wharf_oci::image::{Descriptor, media_type};

/// The artifact manifest of a release candidate of the image specification: some clients still push it.
const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// A manifest or index.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Its media type: its own, else what its shape says.
    pub(crate) media_type: String,
    /// What kind of artifact it describes, as the referrers API states it.
    pub(crate) artifact_type: Option<String>,
    /// The configuration.
    pub(crate) config: Option<Descriptor>,
    /// Layers, or the blobs of an artifact.
    pub(crate) layers: Vec<Descriptor>,
    /// Manifests of an index.
    pub(crate) manifests: Vec<Descriptor>,
    /// The manifest it says something about.
    pub(crate) subject: Option<Digest>,
    /// Annotations.
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u32>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Subject>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

impl Document {
    /// Reads a manifest. `content_type`, if known, must not contradict it.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn parse(content_type: Option<&str>, data: &[u8]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(data).map_err(|error| format!("malformed JSON: {error}"))?;
        let said = raw.media_type.as_deref().filter(|kind| !kind.is_empty());
        let content_type = content_type.filter(|kind| !kind.is_empty());
        if let (Some(said), Some(content_type)) = (said, content_type)
            && said != content_type
        {
            return Err(format!(
                "the content type is {content_type:?}, but the manifest's mediaType {said:?}"
            ));
        }
        let image = raw.config.is_some() || raw.layers.is_some();
        let kind = match said.or(content_type) {
            Some(kind) => kind.to_owned(),
            None if raw.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
            None if image => media_type::OCI_MANIFEST.to_owned(),
            None => return Err("neither an image manifest nor an index".to_owned()),
        };
        if image && raw.manifests.is_some() {
            // One document read as two kinds by two readers is how digests are confused (CVE-2021-41190).
            return Err("the manifest has both layers and manifests".to_owned());
        }
        if kind != OCI_ARTIFACT && raw.schema_version != Some(2) {
            return Err("schemaVersion is not 2".to_owned());
        }
        let config_type = raw.config.as_ref().map(|config| config.media_type.clone());
        let fits = match kind.as_str() {
            kind if media_type::is_manifest(kind) => raw.config.is_some(),
            kind if media_type::is_index(kind) => !image,
            OCI_ARTIFACT => !image && raw.manifests.is_none(),
            _ => return Err(format!("unsupported manifest type {kind:?}")),
        };
        if !fits {
            return Err(format!("the document is not of its type {kind}"));
        }
        Ok(Self {
            media_type: kind,
            artifact_type: raw.artifact_type.filter(|kind| !kind.is_empty()).or(config_type),
            config: raw.config,
            layers: raw.layers.or(raw.blobs).unwrap_or_default(),
            manifests: raw.manifests.unwrap_or_default(),
            subject: raw.subject.map(|subject| subject.digest),
            annotations: raw.annotations.unwrap_or_default(),
        })
    }

    /// The blobs that the registry must have: all but layers that are fetched from elsewhere.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(self.layers.iter().filter(|layer| layer.urls.is_empty()))
    }

    /// Bytes of the blobs it describes, without what its manifests describe.
    pub(crate) fn size(&self) -> u64 {
        // Sizes are what clients say.
        let sizes = self.config.iter().chain(&self.layers).map(|descriptor| descriptor.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// The entry of a referrers list that stands for this document.
    pub(crate) fn descriptor(&self, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            annotations: self.annotations.clone(),
            artifact_type: self.artifact_type.clone(),
            extra: Map::<String, Value>::new(),
            ..Descriptor::new(&self.media_type, digest, size)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(content_type: &str, text: &str) -> Result<Document, String> {
        Document::parse(Some(content_type), text.replace("DIGEST", DIGEST).as_bytes())
    }

    #[test]
    fn kinds() {
        let blob = r#"{"mediaType":"x/y","digest":"DIGEST","size":3}"#;
        let image = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob},{blob}]}}"#);
        let parsed = parse("", &image).unwrap();
        assert_eq!(parsed.media_type, media_type::OCI_MANIFEST);
        assert_eq!((parsed.artifact_type.as_deref(), parsed.size()), (Some("x/y"), 9));
        let huge = image.replace("\"size\":3", &format!("\"size\":{}", i64::MAX));
        assert_eq!(parse("", &huge).unwrap().size(), u64::MAX);
        assert_eq!(
            parse(media_type::DOCKER_MANIFEST, &image).unwrap().media_type,
            media_type::DOCKER_MANIFEST
        );
        let index = format!(
            r#"{{"schemaVersion":2,"artifactType":"a/b","manifests":[{blob}],"subject":{{"digest":"DIGEST"}}}}"#
        );
        let parsed = parse("", &index).unwrap();
        assert_eq!(parsed.media_type, media_type::OCI_INDEX);
        assert_eq!(parsed.subject.unwrap().as_str(), DIGEST);
        let artifact = format!(r#"{{"mediaType":"{OCI_ARTIFACT}","artifactType":"a/b","blobs":[{blob}]}}"#);
        assert_eq!(parse("", &artifact).unwrap().blobs().count(), 1);
    }

    #[test]
    fn what_is_refused() {
        let refused = |kind: &str, text: &str| parse(kind, text).unwrap_err();
        assert!(refused("", "{").starts_with("malformed JSON"));
        assert_eq!(refused("", "{}"), "neither an image manifest nor an index");
        assert_eq!(refused("", r#"{"schemaVersion":1,"manifests":[]}"#), "schemaVersion is not 2");
        let mixed = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
        assert_eq!(refused("", mixed), "the manifest has both layers and manifests");
        let typed = r#"{"schemaVersion":2,"mediaType":"a/b","manifests":[]}"#;
        assert!(refused("c/d", typed).starts_with("the content type is"));
        assert_eq!(refused("a/b", typed), "unsupported manifest type \"a/b\"");
        assert!(
            refused(media_type::OCI_INDEX, r#"{"schemaVersion":2,"layers":[]}"#).contains("not of its type")
        );
        assert!(
            refused(media_type::OCI_MANIFEST, r#"{"schemaVersion":2,"layers":[]}"#).contains("not of its")
        );
    }
}

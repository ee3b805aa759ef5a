use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{media_type, null_default};
use crate::{Digest, Platform};

/// A pointer to a blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default, deserialize_with = "null_default")]
    pub media_type: String,
    /// Digest of the blob.
    pub digest: Digest,
    /// Length of the blob in bytes.
    pub size: u64,
    /// Other places to fetch it from.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: the platform of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// In an index: what kind of artifact the manifest describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor of `data`.
    pub fn of(media_type: &str, data: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(data), data.len() as u64)
    }

    /// A descriptor of a blob of known digest and length in bytes.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
            extra: Map::new(),
        }
    }
}

/// An image manifest, OCI or Docker schema 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The document's own media type; OCI allows leaving it out.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The image configuration.
    pub config: Descriptor,
    /// Layers, bottom first.
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An image index or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The document's own media type; OCI allows leaving it out.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// One entry per platform.
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whatever else stands there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a manifest request can answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// One image.
    Manifest(Box<Manifest>),
    /// One manifest per platform.
    Index(Index),
}

impl Document {
    /// Reads a document. `content_type` (what the transport said) decides when the document does not say itself; without
    /// either, its shape does.
    ///
    /// Errors are the JSON reader's; a document that is neither form, or says it is both, is an error too.
    pub fn parse(content_type: Option<&str>, data: &[u8]) -> Result<Self, serde_json::Error> {
        use serde::de::Error as _;

        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            #[serde(default, deserialize_with = "null_default")]
            media_type: String,
            config: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
            manifests: Option<serde::de::IgnoredAny>,
        }

        let shape: Shape = serde_json::from_slice(data)?;
        let image = shape.config.is_some() || shape.layers.is_some();
        if image && shape.manifests.is_some() {
            // One document read as two kinds by two readers is how digests are confused (CVE-2021-41190).
            return Err(serde_json::Error::custom("the manifest has both layers and manifests"));
        }
        let said =
            if shape.media_type.is_empty() { content_type.unwrap_or_default() } else { &shape.media_type };
        if media_type::is_index(said) || (shape.manifests.is_some() && !media_type::is_manifest(said)) {
            return serde_json::from_slice(data).map(Self::Index);
        }
        if media_type::is_manifest(said) || image {
            return serde_json::from_slice(data).map(|manifest| Self::Manifest(Box::new(manifest)));
        }
        Err(serde_json::Error::custom("neither an image manifest nor an index"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn unknown_keys_and_nulls_survive() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{m}","config":{{"mediaType":"c","digest":"{DIGEST}","size":2,"x":1}},"layers":null,"annotations":null,"subject":{{"a":[1]}}}}"#,
            m = media_type::OCI_MANIFEST
        );
        let Document::Manifest(manifest) = Document::parse(None, text.as_bytes()).unwrap() else { panic!() };
        assert!(manifest.layers.is_empty());
        let again = serde_json::to_value(&manifest).unwrap();
        assert_eq!((&again["subject"]["a"][0], &again["config"]["x"]), (&Value::from(1), &Value::from(1)));
    }

    #[test]
    fn the_kind_is_found_without_a_media_type() {
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"digest":"{DIGEST}","size":3,"platform":{{"os":"linux","architecture":"arm","variant":"v7"}}}}]}}"#
        );
        let Document::Index(index) = Document::parse(None, index.as_bytes()).unwrap() else { panic!() };
        assert_eq!(index.manifests[0].platform.as_ref().unwrap().to_string(), "linux/arm/v7");
        assert!(Document::parse(None, b"{}").is_err());
        assert!(Document::parse(Some(media_type::OCI_INDEX), br#"{"schemaVersion":2}"#).is_ok());
    }

    #[test]
    fn ambiguous_documents_are_refused() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"digest":"{DIGEST}","size":1}},"manifests":[]}}"#,
            media_type::OCI_INDEX
        );
        assert!(Document::parse(None, text.as_bytes()).is_err());
    }
}

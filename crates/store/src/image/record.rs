use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_db::{Index, Table};
use wharf_oci::image::ImageConfig;
use wharf_oci::{Digest, Platform, Reference};

/// Images by id.
pub(crate) const IMAGES: Table<ImageRecord> = Table::new("images", 1).indexes(&[BY_LAYER, BY_PARENT]);
/// Images by each of their chain ids.
pub(crate) const BY_LAYER: Index<ImageRecord> =
    Index::shared("layer", |image| image.chains.iter().map(ToString::to_string).collect());
/// Images by the image they were made from.
pub(crate) const BY_PARENT: Index<ImageRecord> =
    Index::shared("parent", |image| image.parent.iter().map(ToString::to_string).collect());

/// Names by their full text.
pub(crate) const NAMES: Table<NameRecord> = Table::new("image-names", 1).indexes(&[OF_IMAGE]);
/// Names by the image they name.
pub(crate) const OF_IMAGE: Index<NameRecord> = Index::shared("image", |name| vec![name.image.to_string()]);

/// Configurations and manifests by digest.
pub(crate) const BLOBS: Table<Blob> = Table::new("image-blobs", 1);

/// A configuration or manifest. JSON is UTF-8, so a string holds it byte for byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(crate) text: String,
}

/// A name and what it names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NameRecord {
    pub(crate) reference: Reference,
    pub(crate) image: Digest,
}

/// What is kept of an image besides its blobs: what lists and checks need at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Digest of the configuration.
    pub id: Digest,
    /// Chain ids of its layers, bottom first.
    pub chains: Vec<Digest>,
    /// Sum of the sizes of its layers in bytes.
    pub size: u64,
    /// When it was made, as the configuration says it (RFC 3339).
    #[serde(default)]
    pub created: Option<String>,
    /// The platform it is for.
    #[serde(default)]
    pub platform: Platform,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The image it was made from.
    #[serde(default)]
    pub parent: Option<Digest>,
    /// Manifests it came with; each can be read with [`Images::blob`](super::Images::blob).
    #[serde(default)]
    pub manifests: Vec<Digest>,
    /// When it last got a tag here.
    #[serde(default)]
    pub tagged: Option<Timestamp>,
}

impl ImageRecord {
    pub(crate) fn new(id: Digest, chains: Vec<Digest>, size: u64, config: &ImageConfig) -> Self {
        Self {
            id,
            chains,
            size,
            created: config.created.clone(),
            platform: config.platform(),
            labels: config.config.labels.clone().unwrap_or_default(),
            parent: None,
            manifests: Vec::new(),
            tagged: None,
        }
    }
}

/// An image with its names.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The image.
    pub record: ImageRecord,
    /// References with a tag, ordered as text.
    pub tags: Vec<Reference>,
    /// References with a digest (repository digests), ordered as text.
    pub digests: Vec<Reference>,
}

impl Image {
    pub(crate) fn new(names: Vec<Reference>, record: ImageRecord) -> Self {
        let (digests, tags) = names.into_iter().partition(|name| name.digest().is_some());
        Self { record, tags, digests }
    }

    /// Whether nothing with a tag points here.
    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty()
    }
}

/// The form a reference is stored in: by digest if it has one, else by tag.
pub(crate) fn name_of(reference: &Reference) -> Reference {
    match reference.digest() {
        Some(digest) => reference.clone().without_tag().with_digest(digest.clone()),
        None => reference.clone().with_default_tag(),
    }
}

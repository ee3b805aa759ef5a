//! Annotations of what a build makes.

use serde::{Deserialize, Serialize};

/// An annotation: `--annotation`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Annotation {
    /// What it is written on.
    pub on: Annotated,
    /// The platform whose image it is for; all if empty.
    pub platform: String,
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What annotations are written on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Annotated {
    /// The manifest of an image.
    #[default]
    Manifest,
    /// The entry of an index that names a manifest.
    ManifestDescriptor,
    /// The index of images for several platforms.
    Index,
    /// The entry of an image layout that names an index.
    IndexDescriptor,
}

//! The documents of an image: configuration, manifest, index.
//!
//! Image specification: <https://github.com/opencontainers/image-spec>. The Docker schema 2 forms differ only in their
//! media types. Keys this crate does not know are kept and written back, since other tools put theirs there.

mod config;
mod manifest;
pub mod media_type;

use serde::{Deserialize, Deserializer};

pub use config::{Empty, Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use manifest::{Descriptor, Document, Index, Manifest};

/// Go reads `null` as the zero value wherever it stands; so do these documents.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

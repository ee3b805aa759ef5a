//! Archives with a `manifest.json`: Docker's own, whether its layers are `<id>/layer.tar` or blobs of a layout.

use serde::Deserialize;
use wharf_oci::{Digest, Reference};

use super::load::Found;
use super::spool::Spool;
use crate::layer::LayerSource;
use crate::{Error, Result};

/// An image in `manifest.json`. Go writes null for an empty list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    #[serde(default)]
    parent: Option<String>,
}

/// The images of an archive, in its order.
pub(crate) fn images(spool: &Spool) -> Result<Vec<Found>> {
    let items: Vec<Item> = spool.document("manifest.json")?;
    items.into_iter().map(|item| image(spool, item)).collect()
}

fn image(spool: &Spool, item: Item) -> Result<Found> {
    let layers = item.layers.unwrap_or_default();
    Ok(Found {
        config: spool.bytes(&item.config)?,
        manifest: None,
        layers: layers.into_iter().map(|name| (name, LayerSource::default())).collect(),
        names: item.repo_tags.unwrap_or_default().iter().map(|tag| name(tag)).collect::<Result<_>>()?,
        parent: item.parent.and_then(|parent| Digest::parse(&parent).ok()),
    })
}

fn name(tag: &str) -> Result<Reference> {
    match Reference::parse(tag) {
        Ok(reference) if reference.tag().is_some() && reference.digest().is_none() => Ok(reference),
        Ok(_) => Err(Error::Archive(format!("invalid tag {tag:?}"))),
        Err(error) => Err(Error::Archive(error.to_string())),
    }
}

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wharf_db::{Table, View};
use wharf_oci::Digest;

use crate::{Error, Result, Store};

pub(crate) const LAYERS: Table<LayerRecord> = Table::new("layers", 1);

/// Origins kept of a layer: a base that is pushed to ever new repositories must not grow its row without end.
const MOST_ORIGINS: usize = 32;

/// The row of a layer; its key is the chain id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    #[serde(flatten)]
    pub(crate) info: LayerInfo,
    /// Whether the layer's files have been synced to the disk.
    pub(crate) synced: bool,
    /// Boot of the machine in which it was written; an unsynced layer of another boot is not to be trusted.
    pub(crate) boot: String,
}

/// The same rows, of which only the size is wanted: reading all of them in full takes long.
const SIZES: Table<LayerSize> = Table::new("layers", 1);

#[derive(Serialize, Deserialize)]
struct LayerSize {
    size: u64,
}

/// A stored layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Identity of the layer together with all below it.
    pub chain_id: Digest,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Chain id of the layer below.
    pub parent: Option<Digest>,
    /// Bytes of the files in it, each hard-linked file once: what Docker calls the size of a layer.
    pub size: u64,
    /// Length in bytes of the uncompressed tar.
    pub tar_size: u64,
    /// Compressed forms it is known to have in registries.
    #[serde(default)]
    pub origins: Vec<LayerOrigin>,
}

/// Digest of the tar without any entry: 1024 zeros.
const EMPTY_TAR: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

impl LayerInfo {
    /// Whether nothing is in it, not even a change to a folder.
    pub fn is_empty(&self) -> bool {
        self.diff_id.as_str() == EMPTY_TAR
    }
}

/// A compressed form of a layer in a registry: what allows a push to skip the upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerOrigin {
    /// Repository it was fetched from, `registry.example/name`.
    pub repository: String,
    /// Digest of the compressed blob.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// What is known of a layer before it is read. All of it is checked.
#[derive(Debug, Clone, Default)]
pub struct LayerSource {
    /// Chain id of the layer below, if any. That layer need not be stored yet.
    pub parent: Option<Digest>,
    /// Digest of the uncompressed tar, from the image configuration.
    pub diff_id: Option<Digest>,
    /// Digest of the stream as it is read, from the manifest.
    pub blob: Option<Digest>,
    /// Length of the stream in bytes.
    pub blob_size: Option<u64>,
    /// Where it comes from; remembered with the layer.
    pub origin: Option<LayerOrigin>,
}

impl Store {
    /// The stored layer with this chain id.
    pub fn layer(&self, view: &View<'_>, chain: &Digest) -> Result<LayerInfo> {
        match LAYERS.get(view, chain.as_str())? {
            Some(record) => Ok(record.info),
            None => Err(Error::NoLayer { chain: chain.clone() }),
        }
    }

    /// Remembers another compressed form of a layer, the newest last. One of a layer that is gone is forgotten.
    pub fn add_origin(&self, chain: &Digest, origin: LayerOrigin) -> Result<()> {
        self.0.db.write(|tx| {
            let Some(mut record) = LAYERS.get(tx, chain.as_str())? else { return Ok(()) };
            let origins = &mut record.info.origins;
            if origins.last() == Some(&origin) {
                return Ok(());
            }
            origins.retain(|known| *known != origin);
            origins.push(origin);
            let surplus = origins.len().saturating_sub(MOST_ORIGINS);
            origins.drain(..surplus);
            Ok(LAYERS.put(tx, chain.as_str(), &record)?)
        })
    }

    /// All layers.
    pub fn layers(&self, view: &View<'_>) -> Result<Vec<LayerInfo>> {
        Ok(LAYERS.list(view)?.into_iter().map(|(_, record)| record.info).collect())
    }

    /// The sizes of all layers in bytes, by chain id.
    pub fn layer_sizes(&self, view: &View<'_>) -> Result<HashMap<String, u64>> {
        Ok(SIZES.list(view)?.into_iter().map(|(chain, record)| (chain, record.size)).collect())
    }

    /// For each tar that a layer was made of, the chain id of one such layer.
    pub(crate) fn by_diff_id(&self) -> Result<HashMap<Digest, Digest>> {
        let layers = self.0.db.read(|view| self.layers(view))?;
        Ok(layers.into_iter().map(|layer| (layer.diff_id, layer.chain_id)).collect())
    }

    /// The folder with the unpacked files of a layer.
    pub fn layer_diff(&self, chain: &Digest) -> PathBuf {
        self.layer_dir(chain).join("diff")
    }
}

//! The build cache: which layers a step made, by the digest of everything that went into it.
//!
//! A record keeps its layers stored. What an image, a container or a lease uses survives the record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_db::{Index, Table, Tx, View};
use wharf_oci::Digest;

use crate::{Result, Store};

/// Records by key.
pub(crate) const CACHE: Table<CacheRecord> = Table::new("build-cache", 1).indexes(&[BY_LAYER]);
/// Records by each of their chain ids.
pub(crate) const BY_LAYER: Index<CacheRecord> =
    Index::shared("layer", |record| record.chains.iter().map(ToString::to_string).collect());

/// What a build step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// Chain ids of the file system the step ended in, bottom first.
    pub chains: Vec<Digest>,
    /// Key of the record of the step it worked on.
    #[serde(default)]
    pub parent: Option<Digest>,
    /// Bytes of the layer the step made; 0 if it made none.
    pub size: u64,
    /// What it did, `mount / from exec /bin/sh -c make`.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// How often it was used since it was made.
    pub uses: u64,
}

/// The build cache of a store.
#[derive(Clone, Copy)]
pub struct Cache<'a>(pub(crate) &'a Store);

impl Store {
    /// The build cache.
    pub fn cache(&self) -> Cache<'_> {
        Cache(self)
    }
}

impl Cache<'_> {
    /// The record with this key.
    pub fn get(&self, view: &View<'_>, key: &Digest) -> Result<Option<CacheRecord>> {
        Ok(CACHE.get(view, key.as_str())?)
    }

    /// Stores a record; its layers must be held by a lease until the transaction is committed.
    pub fn put(&self, tx: &mut Tx<'_>, key: &Digest, record: &CacheRecord) -> Result<()> {
        Ok(CACHE.put(tx, key.as_str(), record)?)
    }

    /// All records, by key.
    pub fn list(&self, view: &View<'_>) -> Result<Vec<(Digest, CacheRecord)>> {
        let records = CACHE.list(view)?.into_iter();
        Ok(records.filter_map(|(key, record)| Some((Digest::parse(&key).ok()?, record))).collect())
    }

    /// Removes a record, and its layers if nothing else uses them. Returns whether it was there.
    pub fn remove(&self, tx: &mut Tx<'_>, key: &Digest) -> Result<bool> {
        let Some(record) = CACHE.get(tx, key.as_str())? else { return Ok(false) };
        CACHE.delete(tx, key.as_str())?;
        for chain in record.chains.iter().rev() {
            self.0.drop_layer(tx, chain)?;
        }
        Ok(true)
    }

    /// Whether something besides the build cache uses a layer: an image, a container or a lease.
    pub fn is_shared(&self, view: &View<'_>, chain: &Digest) -> Result<bool> {
        self.0.is_used_elsewhere(view, chain)
    }
}

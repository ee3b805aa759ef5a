use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wharf_db::{Tx, View};
use wharf_oci::Digest;

use super::{LAYERS, LayerInfo};
use crate::cache::CACHE;
use crate::image::IMAGES;
use crate::snapshot::SNAPSHOTS;
use crate::{Result, Store, cache, image, snapshot};

/// Keeps layers stored that no image names yet. A pull, load, import or build holds one from its first layer until its
/// image is put; dropping it lets unused layers go with the next [`Store::empty_trash`].
pub struct Lease {
    store: Store,
    chains: Mutex<HashSet<Digest>>,
}

impl Store {
    /// A new lease that holds nothing yet.
    pub fn lease(&self) -> Lease {
        Lease { store: self.clone(), chains: Mutex::default() }
    }

    /// The layer with this chain id, if it is stored; it then stays stored while the lease lives.
    pub fn has_chain(&self, chain: &Digest, lease: &Lease) -> Result<Option<LayerInfo>> {
        lease.hold(chain);
        // As a writer, so that a removal under way is over: it either saw the lease or has taken the row with it.
        let record = self.0.db.write(|tx| LAYERS.get(tx, chain.as_str()))?;
        Ok(record.map(|record| record.info))
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a lease holds a chain id.
    pub(crate) fn is_leased(&self, chain: &Digest) -> bool {
        self.pins().contains_key(chain)
    }

    /// Deletes the row of a layer that nothing uses, and says whether it did. The folder
    /// follows after the commit.
    pub(crate) fn drop_layer(&self, tx: &mut Tx<'_>, chain: &Digest) -> Result<bool> {
        if self.is_used(tx, chain)? || !LAYERS.delete(tx, chain.as_str())? {
            return Ok(false);
        }
        let (store, chain) = (self.clone(), chain.clone());
        tx.on_commit(move || {
            if let Err(error) = store.discard_layer(&chain) {
                tracing::warn!(%chain, %error, "layer folder stays until the next start");
            }
        });
        Ok(true)
    }

    /// Whether anything uses a layer: the build cache, an unfinished pull, an image, a container or a lease.
    pub(crate) fn is_used(&self, view: &View<'_>, chain: &Digest) -> Result<bool> {
        let key = chain.as_str();
        Ok(!CACHE.find_keys(view, &cache::BY_LAYER, key)?.is_empty()
            || self.is_awaited(view, key)?
            || self.is_used_elsewhere(view, chain)?)
    }

    /// Whether an image, a container or a lease uses a layer.
    pub(crate) fn is_used_elsewhere(&self, view: &View<'_>, chain: &Digest) -> Result<bool> {
        let key = chain.as_str();
        Ok(self.is_leased(chain)
            || !IMAGES.find_keys(view, &image::BY_LAYER, key)?.is_empty()
            || !SNAPSHOTS.find_keys(view, &snapshot::BY_LAYER, key)?.is_empty())
    }

    /// Moves a layer's folder to the trash, unless the layer has come back meanwhile.
    pub(crate) fn discard_layer(&self, chain: &Digest) -> Result<()> {
        let _guard = self.lock_layers();
        if self.0.db.read(|view| LAYERS.contains(view, chain.as_str()))? {
            return Ok(());
        }
        self.discard(&self.layer_dir(chain))
    }

    /// Removes the layers that pulls and loads left behind.
    pub(crate) fn drop_unused_layers(&self) -> Result<()> {
        self.drop_old_partials()?;
        let keys = self.0.db.read(|view| LAYERS.keys(view))?;
        for key in keys {
            let Ok(chain) = Digest::parse(&key) else { continue };
            let unused = self.0.db.read(|view| self.is_used(view, &chain).map(|used| !used))?;
            if unused {
                self.0.db.write(|tx| self.drop_layer(tx, &chain))?;
            }
        }
        Ok(())
    }
}

impl Lease {
    /// Holds a chain id, stored or not.
    pub fn hold(&self, chain: &Digest) {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        if chains.insert(chain.clone()) {
            *self.store.pins().entry(chain.clone()).or_default() += 1;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let chains = std::mem::take(self.chains.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut pins = self.store.pins();
        for chain in chains {
            if let Some(count) = pins.get_mut(&chain) {
                *count -= 1;
                if *count == 0 {
                    pins.remove(&chain);
                }
            }
        }
    }
}

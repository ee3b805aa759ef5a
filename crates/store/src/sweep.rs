//! What a crash left behind, put right at the start.

use std::collections::HashSet;

use wharf_db::Durability;
use wharf_oci::Digest;

use crate::cache::{self, CACHE};
use crate::image::IMAGES;
use crate::layer::{LAYERS, LayerRecord};
use crate::snapshot::{SNAPSHOTS, init};
use crate::{Error, Result, Store, image};

/// What [`Store::sweep`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ids of snapshots whose container does not exist any more.
    pub snapshots: Vec<String>,
    /// Folders no row names.
    pub folders: usize,
    /// Images removed because the machine stopped before their layers were on the disk.
    pub damaged_images: Vec<Digest>,
}

impl Store {
    /// Puts the store right after a start: removes the snapshots of containers that are not among `live`, folders no
    /// row names, layers nothing uses, and images whose layers did not survive a power cut. To be called before anything
    /// else uses the store; what it removes is deleted by [`Store::empty_trash`].
    pub fn sweep(&self, live: &HashSet<String>) -> Result<Swept> {
        let mut swept = Swept::default();
        for id in self.0.db.read(|view| SNAPSHOTS.keys(view))? {
            if !live.contains(&id) {
                self.0.db.write(|tx| self.snapshots().remove(tx, &id))?;
                swept.snapshots.push(id);
            }
        }
        swept.damaged_images = self.check_unsynced()?;
        self.drop_unused_layers()?;
        swept.folders = self.sweep_folders()?;
        Ok(swept)
    }

    /// Syncs layers that were stored since the last call, and remembers that they are safe. One system call for all of
    /// them; it takes as long as the disk takes, so it is meant for a background thread.
    pub fn sync(&self) -> Result<()> {
        let unsynced = self.unsynced()?;
        if unsynced.is_empty() {
            return Ok(());
        }
        let folder = self.snapshots_dir();
        let synced = std::fs::File::open(&folder).and_then(|dir| Ok(rustix::fs::syncfs(dir)?));
        synced.map_err(|source| Error::io("sync", &folder, source))?;
        self.0.db.write_with(Durability::Full, |tx| {
            for (key, _) in &unsynced {
                // It may have been removed meanwhile.
                if let Some(mut record) = LAYERS.get(tx, key)? {
                    record.synced = true;
                    LAYERS.put(tx, key, &record)?;
                }
            }
            Ok(())
        })
    }

    fn unsynced(&self) -> Result<Vec<(String, LayerRecord)>> {
        let mut layers = self.0.db.read(|view| LAYERS.list(view))?;
        layers.retain(|(_, record)| !record.synced);
        Ok(layers)
    }

    /// Layers of an earlier boot that were never synced are read once; damaged ones go, with the images that need them.
    fn check_unsynced(&self) -> Result<Vec<Digest>> {
        let boot = boot_id();
        let mut damaged = Vec::new();
        for (_, record) in self.unsynced()? {
            let chain = &record.info.chain_id;
            if record.boot == boot {
                continue;
            }
            let Err(error) = self.layer_tar(chain).and_then(|tar| tar.verify()) else { continue };
            tracing::warn!(%chain, %error, "layer did not survive, removing the images that use it");
            damaged.extend(self.remove_damaged(chain)?);
        }
        self.sync()?;
        Ok(damaged)
    }

    /// Removes a layer although it is in use: only so can it be fetched again.
    pub(crate) fn remove_damaged(&self, chain: &Digest) -> Result<Vec<Digest>> {
        let removed = self.0.db.write(|tx| {
            let mut removed = Vec::new();
            for image in IMAGES.find_keys(tx, &image::BY_LAYER, chain.as_str())? {
                if let Ok(id) = Digest::parse(&image) {
                    self.images().remove(tx, &id)?;
                    removed.push(id);
                }
            }
            for key in CACHE.find_keys(tx, &cache::BY_LAYER, chain.as_str())? {
                CACHE.delete(tx, &key)?;
            }
            LAYERS.delete(tx, chain.as_str())?;
            Ok::<_, Error>(removed)
        })?;
        self.discard_layer(chain)?;
        Ok(removed)
    }

    fn sweep_folders(&self) -> Result<usize> {
        let folder = self.snapshots_dir();
        let failed = |source| Error::io("read", &folder, source);
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let known = match name.to_str() {
                None => false,
                Some(init::NAME) => true,
                Some(name) => self.0.db.read(|view| {
                    let layer = LAYERS.contains(view, &format!("sha256:{name}"))?;
                    Ok::<_, Error>(layer || SNAPSHOTS.contains(view, name)?)
                })?,
            };
            if !known {
                self.discard(&folder.join(&name))?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// Identifies the current boot of the machine.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

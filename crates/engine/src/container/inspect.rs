//! What `inspect` and `ps -s` add to a record: sizes and folders of the container's file system.

use std::{collections::BTreeMap, path::Path};

use super::Container;
use crate::{Engine, Result};

/// Bytes of a container's file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// In the container's own layer.
    pub own: i64,
    /// With the layers of its image.
    pub all: i64,
}

impl Engine {
    /// Sizes of the container's own layer and of its whole file system.
    ///
    /// # Errors
    /// The layer cannot be read.
    pub fn container_sizes(&self, container: &Container) -> Result<Sizes> {
        let own = i64::try_from(self.snapshot_size(&container.id)?).unwrap_or(i64::MAX);
        let image =
            container.image.parse().ok().map(|id| self.db.read(|view| self.store.images().get(view, &id)));
        let below =
            image.transpose()?.flatten().map_or(0, |image| i64::try_from(image.size).unwrap_or(i64::MAX));
        Ok(Sizes { own, all: own.saturating_add(below) })
    }

    /// Bytes of the files in the container's own layer.
    pub(super) fn snapshot_size(&self, id: &str) -> Result<u64> {
        Ok(self.db.read(|view| self.store.snapshots().get(view, id))?.size_rw()?)
    }

    /// The folders of the container's overlay mount under Docker's names: `LowerDir`, `UpperDir`, `WorkDir` and
    /// `MergedDir`. The mount itself exists only inside the container, so the last one is its place there.
    pub fn snapshot_folders(&self, id: &str) -> BTreeMap<String, String> {
        let Ok(snapshot) = self.db.read(|view| self.store.snapshots().get(view, id)) else {
            return BTreeMap::new();
        };
        let mounts = snapshot.mounts();
        let text = |path: &Path| path.display().to_string();
        let lower: Vec<_> = mounts.lower.iter().map(|path| text(path)).collect();
        let merged = mounts.upper.with_file_name("merged");
        BTreeMap::from(
            [
                ("LowerDir", lower.join(":")),
                ("MergedDir", text(&merged)),
                ("UpperDir", text(&mounts.upper)),
                ("WorkDir", text(&mounts.work)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        )
    }
}

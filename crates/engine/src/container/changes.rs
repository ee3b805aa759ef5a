//! `diff` and `export`: what a container's file system holds and how it differs from its image.

use std::io::Write;

use wharf_api::container::Change;
use wharf_store::{ChangeKind, Snapshot};

use super::Container;
use crate::{Engine, Error, Result};

impl Engine {
    /// The paths that differ from the image, ordered.
    ///
    /// # Errors
    /// No such container, or its file system cannot be read.
    pub fn container_changes(&self, name: &str) -> Result<Vec<Change>> {
        let container = self.containers.find(name)?.get();
        let changes = self.snapshot(&container)?.diff()?;
        let change = |change: wharf_store::Change| Change {
            path: change.path,
            kind: match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            },
        };
        Ok(changes.into_iter().map(change).collect())
    }

    /// Writes the whole file system of a container as a tar, without what is mounted in it.
    ///
    /// # Errors
    /// No such container, or its file system cannot be read.
    pub fn export_container(&self, name: &str, out: impl Write) -> Result<()> {
        let container = self.containers.find(name)?.get();
        self.snapshot(&container)?.export(out)?;
        self.events.publish("container", "export", &container.id, container.event_attributes());
        Ok(())
    }

    /// Where a container's file system lies.
    pub(super) fn snapshot(&self, container: &Container) -> Result<Snapshot> {
        self.db.read(|view| Ok::<_, Error>(self.store.snapshots().get(view, &container.id)?))
    }
}

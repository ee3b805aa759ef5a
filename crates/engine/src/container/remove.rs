//! `rm` and `container prune`.

use std::sync::Arc;

use super::{
    Entry, Status,
    status::Transition::{Fail, Remove},
};
use crate::{Engine, Error, Result, tables};

/// How a container is removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Also delete its anonymous volumes.
    pub volumes: bool,
    /// End it first if it runs.
    pub force: bool,
}

impl Engine {
    /// Removes a container with its file system and logs.
    ///
    /// # Errors
    /// No such container, or it runs and `force` is not set.
    pub fn remove_container(&self, name: &str, options: RemoveOptions) -> Result<()> {
        let entry = self.containers.find(name)?;
        if options.force && entry.get().state.status.is_running() {
            self.stop(&entry, Some(9), Some(0))?;
        }
        let _guard = entry.lock();
        let container = entry.get();
        if container.state.removed {
            return Err(Error::no_such_container(name));
        }
        let Some(status) = container.state.status.next(Remove) else {
            let reason = match container.state.status {
                Status::Paused => "container is paused and must be unpaused first",
                Status::Restarting => {
                    "container is restarting: stop the container before removing or force remove"
                }
                _ => "container is running: stop the container before removing or force remove",
            };
            return Err(Error::conflict(format!("cannot remove container \"{name}\": {reason}")));
        };
        // Readers see that it is going; the database learns of it with the deletion itself.
        let mut going = (*container).clone();
        going.state.status = status;
        entry.publish(going);
        if let Err(error) = self.delete(&entry, options) {
            let mut failed = (*container).clone();
            failed.state.status = status.next(Fail).unwrap_or(status);
            failed.state.error = error.to_string();
            self.db.write(|tx| tables::CONTAINERS.put(tx, &failed.id, &failed))?;
            entry.publish(failed);
            return Err(error);
        }
        Ok(())
    }

    /// Deletes rows and files. The caller holds the lock and has published `Removing`.
    fn delete(&self, entry: &Arc<Entry>, options: RemoveOptions) -> Result<()> {
        let container = entry.get();
        self.db.write(|tx| {
            tables::CONTAINERS.delete(tx, &container.id)?;
            tables::NAMES.delete(tx, &container.name)?;
            self.store.snapshots().remove(tx, &container.id)?;
            Ok::<_, Error>(())
        })?;
        // From here on it is gone for everybody; what is left on disk after a crash is swept at the next boot.
        self.containers.remove(&container);
        self.discard(&self.paths.container(&container.id))?;
        self.remove_monitor_folder(&container.id);
        self.execs.forget(&container.id);
        if options.volumes {
            self.remove_anonymous_volumes(&container);
        }
        self.housekeeper.soon();
        self.events.publish("container", "destroy", &container.id, container.event_attributes());
        let mut gone = (*container).clone();
        gone.state.removed = true;
        entry.publish(gone);
        Ok(())
    }

    /// Removes the volumes that were made for this container alone.
    fn remove_anonymous_volumes(&self, container: &super::Container) {
        for mount in container.mounts.iter().filter(|mount| mount.kind == "volume") {
            let anonymous = self
                .volume(&mount.name)
                .is_ok_and(|volume| volume.labels.contains_key(crate::volume::ANONYMOUS));
            if anonymous && let Err(error) = self.remove_volume(&mount.name, true) {
                tracing::debug!(volume = %mount.name, %error, "an anonymous volume stays");
            }
        }
    }

    /// Removes all containers that are not running and that `matches` accepts; returns their ids and the bytes freed.
    ///
    /// # Errors
    /// The first removal that failed for another reason than a concurrent change.
    pub fn prune_containers(
        &self,
        matches: impl Fn(&super::Container) -> bool,
    ) -> Result<(Vec<String>, u64)> {
        let (mut removed, mut freed) = (Vec::new(), 0);
        for entry in self.containers.all() {
            let container = entry.get();
            if container.state.status.is_running() || !matches(&container) {
                continue;
            }
            let size = self.snapshot_size(&container.id).unwrap_or_default();
            match self.remove_container(&container.id, RemoveOptions::default()) {
                Ok(()) => {
                    removed.push(container.id.clone());
                    freed += size;
                }
                // Started or removed by somebody else in between.
                Err(error) => tracing::debug!(container = %container.id, %error, "not pruned"),
            }
        }
        let mut attributes = std::collections::BTreeMap::new();
        attributes.insert("reclaimed".to_owned(), freed.to_string());
        self.events.publish("container", "prune", "", attributes);
        Ok((removed, freed))
    }
}

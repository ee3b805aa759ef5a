//! `pause` and `unpause`: freezing all processes of a container.

use super::{
    Status,
    status::Transition::{Pause, Unpause},
};
use crate::{Engine, Error, Result};

impl Engine {
    /// Freezes a running container.
    ///
    /// # Errors
    /// No such container; not running or already paused (409).
    pub fn pause_container(&self, name: &str) -> Result<()> {
        let entry = self.containers.find(name)?;
        let _guard = entry.lock();
        let container = entry.get();
        let Some(status) = container.state.status.next(Pause) else {
            return Err(Error::conflict(match container.state.status {
                Status::Paused => format!("Container {} is already paused", container.id),
                Status::Restarting => {
                    format!("Container {} is restarting, wait until the container is running", container.id)
                }
                _ => format!("container {} is not running", container.id),
            }));
        };
        self.running(&entry)?.monitor.pause()?;
        self.update_container(&entry, |container| {
            container.state.status = status;
            container.state.suspend_health();
        })?;
        self.events.publish("container", "pause", &container.id, container.event_attributes());
        Ok(())
    }

    /// Thaws a paused container.
    ///
    /// # Errors
    /// No such container; not paused (500, as Docker has it).
    pub fn unpause_container(&self, name: &str) -> Result<()> {
        let entry = self.containers.find(name)?;
        let _guard = entry.lock();
        let container = entry.get();
        let Some(status) = container.state.status.next(Unpause) else {
            return Err(Error::system(format!("Container {} is not paused", container.id)));
        };
        self.running(&entry)?.monitor.resume()?;
        self.update_container(&entry, |container| container.state.status = status)?;
        self.events.publish("container", "unpause", &container.id, container.event_attributes());
        Ok(())
    }
}

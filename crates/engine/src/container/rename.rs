//! `rename`.

use super::validate::validate_name;
use crate::{Engine, Error, Result, tables};

impl Engine {
    /// Gives a container another name.
    ///
    /// # Errors
    /// No such container, a bad or empty name, or one in use.
    pub fn rename_container(&self, name: &str, new_name: &str) -> Result<()> {
        if name.is_empty() || new_name.is_empty() {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        let entry = self.containers.find(name)?;
        let _guard = entry.lock();
        let container = entry.get();
        let bare = new_name.strip_prefix('/').unwrap_or(new_name);
        if bare == container.name {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        let allocating = |error: Error| error.context("Error when allocating new name: ");
        validate_name(&format!("/{bare}")).map_err(allocating)?;
        let old = container.name.clone();
        let mut renamed = (*container).clone();
        bare.clone_into(&mut renamed.name);
        let named = renamed.clone();
        for endpoint in renamed.networks.values_mut() {
            if let Some(state) = &mut endpoint.state {
                self.net.rename(state, bare, crate::network::names(&named, &endpoint.settings));
            }
        }
        self.db.write(|tx| {
            self.claim_name(tx, bare, &renamed.id).map_err(allocating)?;
            tables::NAMES.delete(tx, &old)?;
            tables::CONTAINERS.put(tx, &renamed.id, &renamed)?;
            Ok::<_, Error>(())
        })?;
        self.containers.rename(&renamed.id, &old, bare);
        let renamed = entry.publish(renamed);
        let mut attributes = renamed.event_attributes();
        attributes.insert("oldName".to_owned(), format!("/{old}"));
        self.events.publish("container", "rename", &renamed.id, attributes);
        Ok(())
    }
}

//! Local volumes: named folders under the data root that outlive containers.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Engine, Error, Result, ids};

/// Label that marks a volume made without a name; its value is empty.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// A volume as stored in the database.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Name; 64 hexadecimal digits for an anonymous one.
    pub name: String,
    /// Driver; only `local` exists.
    pub driver: String,
    /// When it was created.
    pub created: Timestamp,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options as given.
    pub options: Option<BTreeMap<String, String>>,
}

/// Checks a volume name.
///
/// # Errors
/// A name outside the grammar, in Docker's words.
pub(crate) fn validate_name(name: &str) -> Result<()> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if name.len() == 1 && starts {
        return Err(Error::invalid(
            "volume name is too short, names should be at least two alphanumeric characters",
        ));
    }
    if starts && name.bytes().all(valid) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

impl crate::Paths {
    /// The folder that is mounted into containers.
    pub fn volume_data(&self, name: &str) -> PathBuf {
        self.data_root.join("volumes").join(name).join("_data")
    }
}

/// What `create_volume` takes.
#[derive(Clone, Debug, Default)]
pub struct VolumeOptions {
    /// Name; empty for an anonymous volume.
    pub name: String,
    /// Driver; empty means `local`.
    pub driver: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: Option<BTreeMap<String, String>>,
}

impl Engine {
    /// Creates a volume, or returns the one of that name.
    ///
    /// # Errors
    /// A bad name, an unknown driver or option, or a failing file system.
    pub fn create_volume(&self, options: VolumeOptions) -> Result<Volume> {
        if !matches!(options.driver.as_str(), "" | "local") {
            return Err(Error::not_found(format!(
                "error looking up volume plugin {0}: plugin {0:?} not found",
                options.driver
            )));
        }
        if let Some(option) = options.options.iter().flatten().map(|(key, _)| key).next() {
            return Err(Error::invalid(format!("create {}: invalid option: {option:?}", options.name)));
        }
        let mut labels = options.labels;
        let mut name = options.name;
        if name.is_empty() {
            name = ids::new_id();
            labels.insert(ANONYMOUS.to_owned(), String::new());
        }
        validate_name(&name)?;
        let volume = Volume {
            name: name.clone(),
            driver: "local".to_owned(),
            created: Timestamp::now(),
            labels,
            options: options.options,
        };
        let _guard = self.volumes_lock();
        if let Some(existing) = self.db.read(|tx| crate::tables::VOLUMES.get(tx, &name))? {
            return Ok(existing);
        }
        let data = self.paths.volume_data(&name);
        fs::create_dir_all(&data).map_err(|error| Error::io("mkdir", &data, error))?;
        self.db.write(|tx| crate::tables::VOLUMES.put(tx, &name, &volume))?;
        let attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        self.events.publish("volume", "create", &name, attributes);
        Ok(volume)
    }

    /// The volume called `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn volume(&self, name: &str) -> Result<Volume> {
        self.db
            .read(|tx| crate::tables::VOLUMES.get(tx, name))?
            .ok_or_else(|| Error::not_found(format!("get {name}: no such volume")))
    }

    /// All volumes by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let volumes = self.db.read(|view| crate::tables::VOLUMES.list(view))?;
        Ok(volumes.into_iter().map(|(_, volume)| volume).collect())
    }

    /// Ids of the containers that mount `name`.
    pub fn volume_users(&self, name: &str) -> Vec<String> {
        let uses = |container: &crate::container::Container| {
            container.mounts.iter().any(|mount| mount.kind == "volume" && mount.name == name)
        };
        let containers = self.containers.all().into_iter().map(|entry| entry.get());
        containers.filter(|container| uses(container)).map(|container| container.id.clone()).collect()
    }

    /// Deletes a volume and its data. With `force` a missing volume is no error.
    ///
    /// # Errors
    /// No such volume, or a container uses it.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let _guard = self.volumes_lock();
        match self.volume(name) {
            Err(_) if force => return Ok(()),
            other => other?,
        };
        let users = self.volume_users(name);
        if !users.is_empty() {
            return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
        }
        self.db.write(|tx| crate::tables::VOLUMES.delete(tx, name))?;
        self.discard(Path::new(&self.paths.data_root.join("volumes").join(name)))?;
        self.housekeeper.soon();
        let attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        self.events.publish("volume", "destroy", name, attributes);
        Ok(())
    }
}

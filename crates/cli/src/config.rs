//! The client's configuration file, which it shares with Docker: `config.json`.

use std::{io::Write, os::unix::fs::DirBuilderExt, path::Path};

use serde_json::Value;

use crate::{Error, Result};

/// What the file says. A file that is missing or malformed says nothing.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile(Value);

impl ConfigFile {
    /// Reads the file in the folder of the configuration.
    pub(crate) fn load(dir: &Path) -> Self {
        let text = std::fs::read(dir.join("config.json")).unwrap_or_default();
        Self(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// A text, such as `psFormat`; empty if there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Any entry.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
}

impl ConfigFile {
    /// The same configuration with the login of one registry replaced or removed.
    pub(crate) fn with_auth(mut self, server: &str, entry: Option<Value>) -> Self {
        if !self.0.is_object() {
            self.0 = Value::Object(serde_json::Map::new());
        }
        if let Some(all) = self.0.as_object_mut() {
            let auths = all.entry("auths").or_insert_with(|| Value::Object(serde_json::Map::new()));
            match (auths.as_object_mut(), entry) {
                (Some(auths), Some(entry)) => drop(auths.insert(server.to_owned(), entry)),
                (Some(auths), None) => drop(auths.shift_remove(server)),
                (None, _) => {}
            }
        }
        self
    }

    /// Writes the file, readable by its owner alone.
    ///
    /// # Errors
    /// The folder or file cannot be written.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        let path = dir.join("config.json");
        let failed = |error| Error::file("open", path.display().to_string(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        // A temporary file is made for its owner alone.
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.0, &mut serializer).map_err(std::io::Error::from)?;
        file.write_all(&text).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

impl From<Value> for ConfigFile {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

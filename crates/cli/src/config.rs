//! The client's configuration file, which it shares with Docker: `config.json`.

use std::path::Path;

use serde_json::Value;

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

impl From<Value> for ConfigFile {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

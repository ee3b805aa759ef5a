//! The client's configuration file, which it shares with Docker: `config.json`.

use std::{io::Write, os::unix::fs::DirBuilderExt, path::Path, sync::Once};

use serde_json::Value;

use crate::{Error, Result, print, registry_auth};

/// What the file says. A file that is missing or malformed says nothing.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    entries: Value,
    /// Why it cannot be read; then it is not written over.
    malformed: Option<String>,
}

impl ConfigFile {
    /// Reads the file in the folder of the configuration. The first time that something is wrong with it, says so.
    pub(crate) fn load(dir: &Path) -> Self {
        static WARNED: Once = Once::new();
        let path = dir.join("config.json");
        let text = std::fs::read(&path).unwrap_or_default();
        let (entries, wrong, malformed) = match parse(&text) {
            Ok(entries) => {
                let wrong = check(&entries).err();
                (entries, wrong, None)
            }
            Err(reason) => (Value::Null, Some(reason.clone()), Some(reason)),
        };
        if let Some(reason) = wrong {
            let path = path.display();
            WARNED
                .call_once(|| print::warn(&format!("WARNING: Error parsing config file ({path}): {reason}")));
        }
        Self { entries, malformed }
    }

    /// A text, such as `psFormat`; empty if there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.entries.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Any entry.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }
}

impl ConfigFile {
    /// The same configuration with the login of one registry replaced or removed.
    pub(crate) fn with_auth(mut self, server: &str, entry: Option<Value>) -> Self {
        if !self.entries.is_object() {
            self.entries = Value::Object(serde_json::Map::new());
        }
        if let Some(all) = self.entries.as_object_mut() {
            let auths = all.entry("auths").or_insert_with(|| Value::Object(serde_json::Map::new()));
            match (auths.as_object_mut(), entry) {
                (Some(auths), Some(entry)) => {
                    auths.insert(server.to_owned(), entry);
                    auths.sort_keys();
                }
                (Some(auths), None) => drop(auths.shift_remove(server)),
                (None, _) => {}
            }
        }
        self
    }

    /// Writes the file, readable by its owner alone.
    ///
    /// # Errors
    /// The folder or file cannot be written, or what is there could not be read.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        let path = dir.join("config.json");
        if let Some(reason) = &self.malformed {
            return Err(Error::message(format!("{} is left as it is: {reason}", path.display())));
        }
        // A link stays one.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let dir = path.parent().unwrap_or(dir);
        let failed = |error| Error::file("open", path.display().to_string(), error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        // A temporary file is made for its owner alone.
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        serde::Serialize::serialize(&self.entries, &mut serializer).map_err(std::io::Error::from)?;
        file.write_all(&text).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// The object that the file holds, if it holds anything; else what is wrong in Docker's words, as far as it has some.
fn parse(text: &[u8]) -> std::result::Result<Value, String> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match serde_json::from_slice(text) {
        Ok(value @ (Value::Object(_) | Value::Null)) => Ok(value),
        Ok(other) => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            Err(format!("json: cannot unmarshal {kind} into Go value of type configfile.ConfigFile"))
        }
        Err(error) if error.is_eof() => Err("unexpected EOF".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn check(entries: &Value) -> std::result::Result<(), String> {
    match entries.get("auths") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(auths)) => registry_auth::check(auths),
        Some(_) => Err("auths: not an object".to_owned()),
    }
}

impl From<Value> for ConfigFile {
    fn from(value: Value) -> Self {
        Self { entries: value, malformed: None }
    }
}

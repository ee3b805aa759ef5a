//! The configuration file as a tree of words: file, environment and flags are laid over each other here.

use serde_json::{Map, Value};

use super::ConfigError;

/// A configuration whose meaning is not known yet.
#[derive(Debug, Default)]
pub(super) struct Tree(Map<String, Value>);

impl Tree {
    /// Reads a YAML document.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        match serde_saphyr::from_str::<Value>(text) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(Value::Null) => Ok(Self::default()),
            Ok(_) => Err(ConfigError::Syntax("not a map".to_owned())),
            Err(error) => Err(ConfigError::Syntax(error.to_string())),
        }
    }

    /// Lays the variables `REGISTRY_A_B=value` over it, as `a.b: value`. Names that begin like no section of the file are
    /// somebody else's: container platforms set some for every service.
    pub(super) fn overlay_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
        sections: &[&str],
    ) {
        let mut variables: Vec<_> = variables
            .filter_map(|(name, value)| Some((name.strip_prefix("REGISTRY_")?.to_lowercase(), value)))
            .filter(|(name, _)| sections.contains(&name.split('_').next().unwrap_or_default()))
            .collect();
        // `REGISTRY_AUTH=htpasswd` before what goes into it.
        variables.sort();
        for (name, value) in variables {
            self.set(&name.split('_').collect::<Vec<_>>(), Value::String(value));
        }
    }

    /// Sets the value at a path. A word on the way (`auth: htpasswd`) stands for a section of that name.
    pub(super) fn set(&mut self, path: &[&str], value: Value) {
        let Some((last, sections)) = path.split_last() else { return };
        let mut map = &mut self.0;
        for section in sections {
            let entry = map.entry(*section).or_insert_with(|| Value::Object(Map::new()));
            if let Value::String(word) = entry {
                *entry = Value::Object([(word.clone(), Value::Null)].into_iter().collect());
            }
            if !entry.is_object() {
                *entry = Value::Object(Map::new());
            }
            let Value::Object(inner) = entry else { return };
            map = inner;
        }
        map.insert((*last).to_owned(), value);
    }

    /// Removes and returns the value at a path, so that what is left is what nobody understood.
    pub(super) fn take(&mut self, path: &str) -> Option<Value> {
        let (sections, last) = path.rsplit_once('.').map_or(("", path), |(a, b)| (a, b));
        let mut map = &mut self.0;
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            map = map.get_mut(section)?.as_object_mut()?;
        }
        map.remove(last).filter(|value| !value.is_null())
    }

    /// A text; numbers count as what they were written as.
    pub(super) fn text(&mut self, path: &str) -> Result<Option<String>, ConfigError> {
        match self.take(path) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(ConfigError::value(path, "expected a text")),
        }
    }

    /// A yes or no.
    pub(super) fn flag(&mut self, path: &str) -> Result<Option<bool>, ConfigError> {
        match self.take(path) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if matches!(text.as_str(), "true" | "1" | "yes" | "on") => {
                Ok(Some(true))
            }
            Some(Value::String(text)) if matches!(text.as_str(), "false" | "0" | "no" | "off" | "") => {
                Ok(Some(false))
            }
            Some(_) => Err(ConfigError::value(path, "expected true or false")),
        }
    }

    /// A list of texts; a single one, or several with commas between, count as one.
    pub(super) fn texts(&mut self, path: &str) -> Result<Vec<String>, ConfigError> {
        match self.take(path) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(ConfigError::value(path, "expected texts")),
                })
                .collect(),
            Some(_) => Err(ConfigError::value(path, "expected a list")),
        }
    }

    /// Paths of all values that were not taken, but for empty sections.
    pub(super) fn rest(&self) -> Vec<String> {
        let mut found = Vec::new();
        leaves(&self.0, "", &mut found);
        found
    }
}

fn leaves(map: &Map<String, Value>, prefix: &str, found: &mut Vec<String>) {
    for (key, value) in map {
        match value {
            Value::Object(inner) => leaves(inner, &format!("{prefix}{key}."), found),
            Value::Null => {}
            _ => found.push(format!("{prefix}{key}")),
        }
    }
}

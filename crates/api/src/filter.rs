//! The `filters` query parameter.

use std::collections::{BTreeMap, BTreeSet};

use regex::bytes::RegexBuilder;
use serde_json::Value;

/// Wanted values by key: an object matches a key when one of its values matches.
///
/// Reads `{"key":{"value":true}}` and the older `{"key":["value"]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// The filters cannot be used. Always the client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The parameter is not a filter document.
    #[error("invalid filter")]
    Syntax,
    /// The key means nothing here.
    #[error("invalid filter{}", named(.0))]
    Key(String),
    /// The value means nothing for this key.
    #[error("invalid filter '{key}=[{}]'", .values.join(" "))]
    Value {
        /// The key.
        key: String,
        /// Its values.
        values: Vec<String>,
    },
}

/// A key as its error names it, which one without letters is not.
fn named(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!(" '{key}'") }
}

impl Filters {
    /// Reads the parameter; an empty text is no filter.
    ///
    /// # Errors
    /// [`FilterError::Syntax`] when it is not a document of one of the two forms.
    pub fn parse(text: &str) -> Result<Filters, FilterError> {
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let document = match serde_json::from_str(text) {
            Ok(Value::Object(document)) => document,
            Ok(Value::Null) => return Ok(Filters::default()),
            _ => return Err(FilterError::Syntax),
        };
        let mut filters = BTreeMap::new();
        for (key, values) in document {
            filters.insert(key, parse_values(values)?);
        }
        Ok(Filters(filters))
    }

    /// Adds a wanted value.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    /// Nothing is filtered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The wanted values of a key, sorted.
    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Refuses keys that mean nothing here.
    ///
    /// # Errors
    /// [`FilterError::Key`] with the first such key.
    pub fn validate(&self, accepted: &[&str]) -> Result<(), FilterError> {
        match self.keys().find(|key| !accepted.contains(key)) {
            Some(key) => Err(FilterError::Key(key.to_owned())),
            None => Ok(()),
        }
    }

    /// The value of a key that is on or off: `1`, `true`, `0` or `false`.
    ///
    /// # Errors
    /// [`FilterError::Value`] for any other value, or for both at once.
    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, FilterError> {
        if !self.contains(key) {
            return Ok(default);
        }
        let is = |a, b| self.get(key).any(|value| value == a || value == b);
        match (is("1", "true"), is("0", "false")) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(self.bad_value(key)),
        }
    }

    /// The error for a value that means nothing for this key.
    pub fn bad_value(&self, key: &str) -> FilterError {
        FilterError::Value { key: key.to_owned(), values: self.get(key).map(str::to_owned).collect() }
    }

    /// One of the values is the text. True without the key.
    pub fn matches_exactly(&self, key: &str, text: &str) -> bool {
        self.0.get(key).is_none_or(|values| values.is_empty() || values.contains(text))
    }

    /// One of the values is the text or a regular expression found in it. True without the key.
    pub fn matches(&self, key: &str, text: &str) -> bool {
        self.matches_exactly(key, text)
            || self.get(key).any(|pattern| {
                RegexBuilder::new(pattern)
                    .unicode(false)
                    .size_limit(1 << 20)
                    .build()
                    .is_ok_and(|regex| regex.is_match(text.as_bytes()))
            })
    }

    /// One of the values is a prefix of the text. True without the key.
    pub fn matches_prefix(&self, key: &str, text: &str) -> bool {
        self.matches_exactly(key, text) || self.get(key).any(|prefix| text.starts_with(prefix))
    }

    /// Every value, `KEY` or `KEY=VALUE`, is in the map (labels). True without the key.
    pub fn matches_map(&self, key: &str, map: &BTreeMap<String, String>) -> bool {
        self.get(key).all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => map.get(name).is_some_and(|have| have == value),
            None => map.contains_key(wanted),
        })
    }

    /// The parameter as clients send it; empty without filters.
    pub fn to_query(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let document: BTreeMap<&str, BTreeMap<&str, bool>> = self
            .0
            .iter()
            .map(|(key, values)| (key.as_str(), values.iter().map(|value| (value.as_str(), true)).collect()))
            .collect();
        serde_json::json!(document).to_string()
    }
}

fn parse_values(values: Value) -> Result<BTreeSet<String>, FilterError> {
    match values {
        Value::Null => Ok(BTreeSet::new()),
        // compat: what the flag says does not matter, only that the value is there.
        Value::Object(values) => {
            let flags_only = values.values().all(|flag| matches!(flag, Value::Bool(_) | Value::Null));
            if flags_only {
                Ok(values.into_iter().map(|(value, _)| value).collect())
            } else {
                Err(FilterError::Syntax)
            }
        }
        Value::Array(values) => values
            .into_iter()
            .map(|value| match value {
                Value::String(value) => Ok(value),
                _ => Err(FilterError::Syntax),
            })
            .collect(),
        _ => Err(FilterError::Syntax),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let new = Filters::parse(r#"{"label":{"a=b":true,"c":true},"status":{"exited":false}}"#).unwrap();
        let old = Filters::parse(r#"{"label":["c","a=b"],"status":["exited"]}"#).unwrap();
        assert_eq!(new, old);
        assert_eq!(new.get("label").collect::<Vec<_>>(), ["a=b", "c"]);
        assert_eq!(Filters::parse(&new.to_query()).unwrap(), new);
        assert!(Filters::parse("").unwrap().is_empty() && Filters::parse("null").unwrap().is_empty());
        assert_eq!(Filters::default().to_query(), "");
    }

    #[test]
    fn words_of_errors() {
        for bad in ["bad", "1", "[]", r#"{"a":1}"#, r#"{"a":[1]}"#, r#"{"a":{"b":"c"}}"#] {
            assert_eq!(Filters::parse(bad).unwrap_err().to_string(), "invalid filter", "{bad}");
        }
        let filters = Filters::parse(r#"{"x":["1"],"dangling":["maybe","no"]}"#).unwrap();
        assert_eq!(filters.validate(&["dangling"]).unwrap_err().to_string(), "invalid filter 'x'");
        assert_eq!(
            filters.boolean("dangling", false).unwrap_err().to_string(),
            "invalid filter 'dangling=[maybe no]'"
        );
    }

    #[test]
    fn matching() {
        let filters = Filters::parse(r#"{"name":["^/?web","db$"],"id":["0a"],"label":["a=b","c"]}"#).unwrap();
        assert!(filters.matches("name", "web-1") && filters.matches("name", "my-db"));
        assert!(!filters.matches("name", "my-web") && filters.matches("other", "anything"));
        assert!(filters.matches_prefix("id", "0abc") && !filters.matches_prefix("id", "b0a"));
        let labels =
            |list: &[(&str, &str)]| list.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert!(filters.matches_map("label", &labels(&[("a", "b"), ("c", "d")])));
        assert!(!filters.matches_map("label", &labels(&[("a", "x"), ("c", "d")])));
        assert!(!filters.matches_map("label", &labels(&[("a", "b")])));
    }

    #[test]
    fn boolean_values() {
        let filters = |value: &str| Filters::parse(&format!(r#"{{"d":["{value}"]}}"#)).unwrap();
        assert!(filters("1").boolean("d", false).unwrap() && filters("true").boolean("d", false).unwrap());
        assert!(!filters("0").boolean("d", true).unwrap() && !filters("false").boolean("d", true).unwrap());
        assert!(Filters::default().boolean("d", true).unwrap());
    }
}

//! Flags of an instruction.

use super::suggest::nearest;

/// The flags an instruction was given.
#[derive(Debug)]
pub(super) struct Flags {
    given: Vec<(String, Option<String>)>,
}

/// How a flag is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `--name`, `--name=true`.
    Bool,
    /// `--name=value`.
    One,
    /// `--name=value`, again and again.
    Many,
}

impl Flags {
    /// Reads `--name=value` words.
    ///
    /// # Errors
    /// If a flag is unknown, lacks its value or is given twice.
    pub(super) fn read(words: &[String], known: &[(&str, Form)]) -> Result<Self, String> {
        let mut given: Vec<(String, Option<String>)> = Vec::new();
        for word in words {
            let word = word.strip_prefix("--").unwrap_or(word);
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word, None),
            };
            let Some((_, form)) = known.iter().find(|(known, _)| *known == name) else {
                let hint = nearest(name, known.iter().map(|(name, _)| *name));
                let hint = hint.map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
                return Err(format!("unknown flag: --{name}{hint}"));
            };
            if *form != Form::Many && given.iter().any(|(other, _)| other == name) {
                return Err(format!("duplicate flag specified: --{name}"));
            }
            let value = match (form, value) {
                (Form::Bool, None) => Some("true".to_owned()),
                (Form::Bool, Some(value)) => match value.to_lowercase().as_str() {
                    value @ ("true" | "false") => Some(value.to_owned()),
                    _ => return Err(format!("expecting boolean value for flag --{name}, not: {value}")),
                },
                (_, None) => return Err(format!("missing a value on flag: --{name}")),
                (_, value) => value,
            };
            given.push((name.to_owned(), value));
        }
        Ok(Self { given })
    }

    /// Those of an instruction that has none.
    pub(super) fn none(words: &[String]) -> Result<(), String> {
        Self::read(words, &[]).map(drop)
    }

    pub(super) fn one(&self, name: &str) -> Option<String> {
        self.many(name).pop()
    }

    pub(super) fn many(&self, name: &str) -> Vec<String> {
        self.given.iter().filter(|(n, _)| n == name).filter_map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.one(name).as_deref() == Some("true")
    }
}

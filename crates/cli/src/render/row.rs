//! One line of a list, as templates see it.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use wharf_template::{Call, Object, Value};

/// Named values, which a template reads as methods of a Go object.
#[derive(Debug)]
pub(crate) struct Row {
    type_name: &'static str,
    values: Vec<(&'static str, Cell)>,
    labels: Option<BTreeMap<String, String>>,
}

/// A value, or how it is made once it is asked for: of a long list most templates read a few columns.
enum Cell {
    Value(Value),
    Made(Box<dyn Fn() -> String + Send + Sync>),
}

impl Cell {
    fn value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Made(make) => Value::text(make()),
        }
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(f)
    }
}

impl Row {
    /// A row whose type messages call `type_name`.
    pub(crate) fn new(type_name: &'static str) -> Self {
        Self { type_name, values: Vec::new(), labels: None }
    }

    /// Adds a value.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, Cell::Value(value.into())));
        self
    }

    /// Adds a value that costs something to make.
    pub(crate) fn with_made(
        mut self,
        name: &'static str,
        make: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        self.values.push((name, Cell::Made(Box::new(make))));
        self
    }

    /// Adds the labels: `.Labels` is all of them, `.Label "key"` one.
    pub(crate) fn labels(mut self, labels: BTreeMap<String, String>) -> Self {
        self.values.push(("Labels", Cell::Value(Value::text(super::label_list(&labels)))));
        self.labels = Some(labels);
        self
    }

    /// The row for the template.
    pub(crate) fn value(self) -> Value {
        Value::Object(std::sync::Arc::new(self))
    }
}

impl Object for Row {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn call(&self, name: &str, args: &[Value]) -> Call {
        match (&self.labels, name) {
            (Some(labels), "Label") => match args {
                [Value::Str(key)] => Call::Value(Value::text(labels.get(&**key).map_or("", String::as_str))),
                _ => Call::WrongArguments(1),
            },
            _ => match self.values.iter().find(|(n, _)| *n == name) {
                None => Call::Unknown,
                Some(_) if !args.is_empty() => Call::WrongArguments(0),
                Some((_, cell)) => Call::Value(cell.value()),
            },
        }
    }

    fn json(&self) -> Json {
        let sorted: BTreeMap<_, _> = self.values.iter().map(|(name, cell)| (*name, cell)).collect();
        Json::Object(
            sorted.into_iter().map(|(name, cell)| (name.to_owned(), cell.value().to_json())).collect(),
        )
    }
}

/// The headings of a table, which stand in for the row.
#[derive(Debug)]
pub(super) struct Headings(pub(super) &'static [(&'static str, &'static str)]);

impl Object for Headings {
    fn type_name(&self) -> &str {
        "formatter.SubHeaderContext"
    }

    fn call(&self, name: &str, args: &[Value]) -> Call {
        if let ("Label", [Value::Str(key)]) = (name, args) {
            // compat: a label's heading is the last part of its key.
            let last = key.rsplit('.').next().unwrap_or_default();
            return Call::Value(Value::text(last.replace(['-', '_'], " ")));
        }
        Call::Value(
            self.0.iter().find(|(n, _)| *n == name).map_or(Value::None, |(_, text)| Value::text(text)),
        )
    }

    fn json(&self) -> Json {
        Json::Object(self.0.iter().map(|(name, text)| ((*name).to_owned(), Json::from(*text))).collect())
    }
}

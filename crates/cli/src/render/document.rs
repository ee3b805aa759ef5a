//! A document whose Go fields are not named as in its JSON form.

use serde_json::Value as Json;
use wharf_template::{Call, Object, Value};

/// Fields for templates, and the document that `json` prints.
#[derive(Debug)]
pub(crate) struct Document {
    /// The name of the Go type.
    pub(crate) type_name: &'static str,
    /// The fields by their Go names.
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// The document.
    pub(crate) json: Json,
}

impl Document {
    /// The document for a template.
    pub(crate) fn value(self) -> Value {
        Value::Object(std::sync::Arc::new(self))
    }
}

impl Object for Document {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn call(&self, name: &str, args: &[Value]) -> Call {
        match self.fields.iter().find(|(n, _)| *n == name) {
            None => Call::Unknown,
            Some(_) if !args.is_empty() => {
                Call::Failed(format!("{name} has arguments but cannot be invoked as function"))
            }
            Some((_, value)) => Call::Value(value.clone()),
        }
    }

    fn json(&self) -> Json {
        self.json.clone()
    }
}

//! The data a template is rendered with.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use serde_json::{Number, Value as Json};

/// A value as Go would hold it. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// No value: what a map yields for a key it lacks.
    #[default]
    None,
    /// A nil of a known kind.
    Nil(Nil),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Str(Arc<str>),
    /// A slice.
    List(Arc<[Value]>),
    /// A map.
    Map(Arc<Map>),
    /// A struct, or a pointer to one.
    Struct(Arc<Struct>),
    /// Something with methods.
    Object(Arc<dyn Object>),
}

/// The kinds of nil, which print differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nil {
    /// An empty interface; prints as `<no value>`.
    Interface,
    /// A pointer; prints as `<nil>`.
    Pointer,
    /// A slice; prints as `[]`.
    List,
    /// A map; prints as `map[]`.
    Map,
}

/// A map with sorted text keys.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// The entries.
    pub entries: BTreeMap<String, Value>,
    /// What `index` yields for a key the map lacks: the zero value of the map's element type.
    pub zero: Value,
}

/// Named fields in a fixed order.
#[derive(Debug, Clone, Default)]
pub struct Struct {
    /// The name of the Go type for messages; without one, an unknown field reads as a missing key of a map.
    pub type_name: Option<&'static str>,
    /// The fields.
    pub fields: Vec<(String, Value)>,
    /// The names of fields that are empty and that `json` leaves out.
    pub omitted: Vec<String>,
}

impl Struct {
    /// Lets the field `name`, if it is there, be found as `other` too, which `json` does not show.
    pub fn also_as(&mut self, name: &str, other: &str) {
        if let Some(value) = self.get(name).cloned() {
            self.fields.push((other.to_owned(), value));
            self.omitted.push(other.to_owned());
        }
    }

    /// The field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

/// Data with methods.
pub trait Object: Debug + Send + Sync {
    /// The name of the Go type for messages, such as `*formatter.ContainerContext`.
    fn type_name(&self) -> &str;

    /// Calls the method `name`, or reads the field of that name.
    fn call(&self, name: &str, args: &[Value]) -> Call;

    /// What the function `json` prints.
    fn json(&self) -> Json;
}

/// What came of a call of a method.
#[derive(Debug, Clone)]
pub enum Call {
    /// There is no such method.
    Unknown,
    /// The method takes this many arguments.
    WrongArguments(usize),
    /// The method failed with this text.
    Failed(String),
    /// The result.
    Value(Value),
}

impl Value {
    /// Builds a text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Str(Arc::from(text.as_ref()))
    }

    /// Builds a slice.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// Builds a map from texts to texts.
    pub fn text_map<K: Into<String>, V: AsRef<str>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(k, v)| (k.into(), Self::text(v))).collect();
        Self::Map(Arc::new(Map { entries, zero: Self::text("") }))
    }

    /// The value as the function `json` prints it.
    pub fn to_json(&self) -> Json {
        match self {
            Self::None | Self::Nil(_) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) | Self::Duration(value) => Json::Number((*value).into()),
            Self::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
            Self::Str(text) => Json::String(text.to_string()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(map) => {
                Json::Object(map.entries.iter().map(|(k, v)| (k.clone(), v.to_json())).collect())
            }
            Self::Struct(data) => {
                let shown = data.fields.iter().filter(|(name, _)| !data.omitted.contains(name));
                Json::Object(shown.map(|(k, v)| (k.clone(), v.to_json())).collect())
            }
            Self::Object(object) => object.json(),
        }
    }

    /// The name of the Go type, for messages.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::None | Self::Nil(Nil::Interface | Nil::Pointer) => "interface {}",
            Self::List(items) if !items.iter().all(|item| matches!(item, Self::Str(_))) => "[]interface {}",
            Self::Nil(Nil::List) | Self::List(_) => "[]string",
            Self::Map(map) if !matches!(map.zero, Self::Str(_)) => "map[string]interface {}",
            Self::Nil(Nil::Map) | Self::Map(_) => "map[string]string",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Duration(_) => "time.Duration",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::Struct(data) => data.type_name.unwrap_or("map[string]interface {}"),
            Self::Object(object) => object.type_name(),
        }
        .to_owned()
    }

    /// True where `if` takes the first branch.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::None | Self::Nil(_) => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Duration(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) | Self::Object(_) => true,
        }
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Nil(Nil::Interface),
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .unwrap_or_else(|| Self::Float(number.as_f64().unwrap_or_default())),
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let entries = entries.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect();
                Self::Map(Arc::new(Map { entries, zero: Self::None }))
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

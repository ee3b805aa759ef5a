//! `.Name` on a value.

use crate::{Call, Nil, Value, printf::quote};

/// Reads a field or calls a method.
///
/// # Errors
/// Go's message, without its place.
pub(crate) fn field(receiver: &Value, name: &str, args: &[Value], strict: bool) -> Result<Value, String> {
    let no_entry = || format!("map has no entry for key {}", quote(name));
    let arguments = |what: &str| Err(format!("{name} {what}"));
    match receiver {
        Value::None if strict => Err(format!("nil data; no entry for key {}", quote(name))),
        Value::None => Ok(Value::None),
        Value::Object(object) => match object.call(name, args) {
            Call::Value(value) => Ok(value),
            Call::Unknown => Err(unknown(name, object.type_name())),
            Call::Failed(text) => Err(format!("error calling {name}: {text}")),
            Call::WrongArguments(want) => {
                Err(format!("wrong number of args for {name}: want {want} got {}", args.len()))
            }
        },
        Value::Struct(data) => match data.get(name) {
            Some(_) if !args.is_empty() => arguments("has arguments but cannot be invoked as function"),
            Some(value) => Ok(value.clone()),
            None => Err(data.type_name.map_or_else(no_entry, |type_name| unknown(name, type_name))),
        },
        Value::Map(_) | Value::Nil(Nil::Map) if !args.is_empty() => {
            arguments("is not a method but has arguments")
        }
        Value::Map(map) => match map.entries.get(name) {
            Some(value) => Ok(value.clone()),
            None if strict => Err(no_entry()),
            None => Ok(Value::None),
        },
        Value::Nil(Nil::Map) => Ok(Value::None),
        Value::Nil(Nil::Interface | Nil::Pointer) => {
            Err(format!("nil pointer evaluating interface {{}}.{name}"))
        }
        other => Err(unknown(name, &other.type_name())),
    }
}

fn unknown(name: &str, type_name: &str) -> String {
    format!("can't evaluate field {name} in type {type_name}")
}

//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

use std::cmp::Ordering;

use crate::Value;

const INVALID: &str = "invalid type for comparison";

#[derive(PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Float,
    Text,
}

fn basic(value: &Value) -> Result<Basic, String> {
    match value {
        Value::Bool(_) => Ok(Basic::Bool),
        Value::Int(_) | Value::Duration(_) => Ok(Basic::Int),
        Value::Float(_) => Ok(Basic::Float),
        Value::Str(_) => Ok(Basic::Text),
        _ => Err(INVALID.to_owned()),
    }
}

fn incompatible(a: &Value, b: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

fn is_nil(value: &Value) -> bool {
    matches!(value, Value::None | Value::Nil(_))
}

fn comparable(value: &Value) -> Result<(), String> {
    match value {
        Value::List(_) | Value::Map(_) => {
            let shown = crate::printf::plain(value);
            Err(format!("non-comparable type {shown}: {}", value.type_name()))
        }
        _ => Ok(()),
    }
}

/// True if the first value equals any of the others.
///
/// # Errors
/// The values cannot be compared.
pub(crate) fn equal(values: &[Value]) -> Result<bool, String> {
    let Some((first, others)) = values.split_first() else {
        return Err("missing argument for comparison".to_owned());
    };
    comparable(first)?;
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        comparable(other)?;
        if is_nil(first) || is_nil(other) {
            if is_nil(first) && is_nil(other) {
                return Ok(true);
            }
            continue;
        }
        let same = match (first, other) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (a, b) => {
                if basic(a)? != basic(b)? {
                    return Err(incompatible(a, b));
                }
                false
            }
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How the first value compares to the second.
///
/// # Errors
/// The values have no order, or are of different kinds.
pub(crate) fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    let (kind, other) = (basic(a)?, basic(b)?);
    match (a, b) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b).unwrap_or(Ordering::Greater)),
        (Value::Str(a), Value::Str(b)) => Ok(a.cmp(b)),
        _ if kind != other => Err(incompatible(a, b)),
        _ => Err(INVALID.to_owned()),
    }
}

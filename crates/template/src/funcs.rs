//! The functions a template can call: Go's own and Docker's.

use std::cmp::Ordering;

use crate::{Nil, Value, compare, printf};

/// What a parameter accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    Text,
    Int,
    Texts,
}

impl Type {
    /// Go's name for the type.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::Texts => "[]string",
        }
    }

    /// True if `value` can be passed.
    pub(crate) fn takes(self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Text => matches!(value, Value::Str(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::Texts => matches!(value, Value::List(_) | Value::Nil(Nil::List)),
        }
    }
}

/// The parameters of a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature {
    pub(crate) fixed: &'static [Type],
    pub(crate) variadic: Option<Type>,
}

const fn signature(fixed: &'static [Type], variadic: Option<Type>) -> Signature {
    Signature { fixed, variadic }
}

/// The parameters of the function `name`.
pub(crate) fn find(name: &str) -> Option<Signature> {
    use Type::{Any, Int, Text, Texts};
    Some(match name {
        "and" | "or" | "index" | "slice" | "eq" | "call" => signature(&[Any], Some(Any)),
        "not" | "len" | "json" => signature(&[Any], None),
        "ne" | "lt" | "le" | "gt" | "ge" => signature(&[Any, Any], None),
        "html" | "js" | "urlquery" | "print" | "println" => signature(&[], Some(Any)),
        "printf" => signature(&[Text], Some(Any)),
        "split" => signature(&[Text, Text], None),
        "join" => signature(&[Texts, Text], None),
        "title" | "lower" | "upper" => signature(&[Text], None),
        "pad" => signature(&[Text, Int, Int], None),
        "truncate" => signature(&[Text, Int], None),
        _ => return None,
    })
}

/// True if a function has this name.
pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// Calls a function whose arguments fit its signature.
///
/// # Errors
/// The text behind `error calling NAME: `.
pub(crate) fn call(name: &str, args: &[Value], header: bool) -> Result<Value, String> {
    let text = |index: usize| match args.get(index) {
        Some(Value::Str(text)) => &**text,
        _ => "",
    };
    let number = |index: usize| match args.get(index) {
        Some(Value::Int(value)) => *value,
        _ => 0,
    };
    Ok(match name {
        "json" | "title" | "lower" | "upper" | "truncate" if header => args[0].clone(),
        "not" => Value::Bool(!args[0].truth()),
        "len" => Value::Int(length(&args[0])?),
        "index" => index(args)?,
        "slice" => slice(args)?,
        "html" => Value::text(html(&print_args(args))),
        "js" => Value::text(javascript(&print_args(args))),
        "urlquery" => Value::text(url_query(&print_args(args))),
        "print" => Value::text(printf::print(args)),
        "println" => Value::text(printf::println(args)),
        "printf" => Value::text(printf::printf(text(0), &args[1..])),
        "eq" => Value::Bool(compare::equal(args)?),
        "ne" => Value::Bool(!compare::equal(args)?),
        "lt" => Value::Bool(compare::order(&args[0], &args[1])? == Ordering::Less),
        "le" => Value::Bool(compare::order(&args[0], &args[1])? != Ordering::Greater),
        "gt" => Value::Bool(compare::order(&args[0], &args[1])? == Ordering::Greater),
        "ge" => Value::Bool(compare::order(&args[0], &args[1])? != Ordering::Less),
        "json" => Value::text(json(&args[0])),
        "split" => split(text(0), text(1)),
        "join" => Value::text(join(&args[0], text(1))),
        "title" => Value::text(title(text(0))),
        "lower" => Value::text(text(0).to_lowercase()),
        "upper" => Value::text(text(0).to_uppercase()),
        "pad" => Value::text(pad(text(0), number(1), number(2))),
        "truncate" => Value::text(truncate(text(0), number(1))),
        other => return Err(format!("{other} cannot be called here")),
    })
}

fn json(value: &Value) -> String {
    let text = value.to_json().to_string();
    match value {
        // compat: objects marshal themselves, and Go's default then escapes for HTML.
        Value::Object(_) => text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
        _ => text,
    }
}

fn print_args(args: &[Value]) -> String {
    match args {
        [Value::Str(text)] => text.to_string(),
        _ => printf::print(args),
    }
}

fn length(value: &Value) -> Result<i64, String> {
    let length = match value {
        Value::Str(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Nil(Nil::List | Nil::Map) => 0,
        // compat: Go's reflection speaks here.
        Value::None | Value::Nil(Nil::Interface) => {
            return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
        }
        Value::Nil(Nil::Pointer) => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

fn index(args: &[Value]) -> Result<Value, String> {
    let mut item = args[0].clone();
    if matches!(item, Value::None | Value::Nil(Nil::Interface)) {
        return Err("index of untyped nil".to_owned());
    }
    for key in &args[1..] {
        item = match &item {
            Value::List(items) => items[position(key, items.len(), false)?].clone(),
            Value::Nil(Nil::List) => {
                position(key, 0, false)?;
                Value::None
            }
            Value::Str(text) => Value::Int(text.as_bytes()[position(key, text.len(), false)?].into()),
            Value::Map(map) => map.entries.get(map_key(key)?).unwrap_or(&map.zero).clone(),
            Value::Nil(Nil::Map) => {
                map_key(key)?;
                Value::text("")
            }
            Value::Nil(_) => return Err("index of nil pointer".to_owned()),
            // A document without type information stands for a map.
            Value::Struct(data) if data.type_name.is_none() => {
                data.get(map_key(key)?).cloned().unwrap_or_default()
            }
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn map_key(key: &Value) -> Result<&str, String> {
    match key {
        Value::Str(text) => Ok(text),
        Value::None | Value::Nil(_) => Err("value is nil; should be of type string".to_owned()),
        other => Err(format!("value has type {}; should be string", other.type_name())),
    }
}

fn position(key: &Value, length: usize, end: bool) -> Result<usize, String> {
    let index = match key {
        Value::Int(index) => *index,
        Value::None | Value::Nil(_) => return Err("cannot index slice/array with nil".to_owned()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    match usize::try_from(index) {
        Ok(index) if index < length || (end && index == length) => Ok(index),
        _ => Err(format!("index out of range: {index}")),
    }
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let length = match &args[0] {
        Value::None => return Err("slice of untyped nil".to_owned()),
        Value::Str(_) if args.len() > 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::Str(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Nil(Nil::List) => 0,
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if args.len() > 4 {
        return Err(format!("too many slice indexes: {}", args.len() - 1));
    }
    let mut bounds = [0, length, length];
    for (bound, key) in bounds.iter_mut().zip(&args[1..]) {
        *bound = position(key, length, true)?;
    }
    let (from, to) = (bounds[0], bounds[1]);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if args.len() == 4 && to > bounds[2] {
        return Err(format!("invalid slice index: {to} > {}", bounds[2]));
    }
    Ok(match &args[0] {
        Value::Str(text) => Value::text(String::from_utf8_lossy(&text.as_bytes()[from..to])),
        Value::List(items) => Value::list(items[from..to].iter().cloned()),
        other => other.clone(),
    })
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn javascript(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => {
                out.push('\\');
                out.push(c);
            }
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

fn url_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn split(text: &str, separator: &str) -> Value {
    if separator.is_empty() {
        return Value::list(text.chars().map(|c| Value::text(c.to_string())));
    }
    Value::list(text.split(separator).map(Value::text))
}

fn join(items: &Value, separator: &str) -> String {
    match items {
        Value::List(items) => items.iter().map(printf::plain).collect::<Vec<_>>().join(separator),
        _ => String::new(),
    }
}

/// The first letter of each word in upper case.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.push(c)
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c == '_' || c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace());
    }
    out
}

fn pad(text: &str, before: i64, after: i64) -> String {
    if text.is_empty() {
        return String::new();
    }
    let blanks = |count: i64| " ".repeat(usize::try_from(count).unwrap_or(0).min(1 << 20));
    format!("{}{text}{}", blanks(before), blanks(after))
}

fn truncate(text: &str, length: i64) -> String {
    match usize::try_from(length) {
        Ok(length) if length < text.len() => String::from_utf8_lossy(&text.as_bytes()[..length]).into_owned(),
        _ => text.to_owned(),
    }
}

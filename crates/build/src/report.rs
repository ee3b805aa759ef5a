//! What a Dockerfile says about itself, as documents: the answers to `--call`.

use std::ops::RangeInclusive;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::Warning;
use crate::check::address;
use crate::dockerfile::Dockerfile;
use crate::plan::{Outline, Wanted};

/// What a target takes (`--call=outline`).
pub fn outline(file: &Dockerfile, found: &Outline) -> Value {
    let mut document = Map::new();
    set(&mut document, "name", &found.name);
    set(&mut document, "description", found.description.as_deref().unwrap_or_default());
    let args = found.args.iter().map(|arg| {
        let mut entry = Map::from_iter([("name".to_owned(), json!(arg.name))]);
        set(&mut entry, "description", arg.description.as_deref().unwrap_or_default());
        set(&mut entry, "value", &arg.value);
        entry.insert("location".to_owned(), location(&arg.lines));
        Value::Object(entry)
    });
    set_list(&mut document, "args", args.collect());
    set_list(&mut document, "secrets", found.secrets.iter().map(wanted).collect());
    set_list(&mut document, "ssh", found.ssh.iter().map(wanted).collect());
    document.insert("sources".to_owned(), json!([STANDARD.encode(&file.text)]));
    Value::Object(document)
}

/// The targets of a file (`--call=targets`).
pub fn targets(file: &Dockerfile) -> Value {
    let targets = file.targets().map(|target| {
        let mut entry = Map::new();
        set(&mut entry, "name", target.name);
        if target.default {
            entry.insert("default".to_owned(), json!(true));
        }
        set(&mut entry, "description", target.description.as_deref().unwrap_or_default());
        set(&mut entry, "base", target.base);
        set(&mut entry, "platform", target.platform.unwrap_or_default());
        entry.insert("location".to_owned(), location(&target.lines));
        Value::Object(entry)
    });
    let targets: Vec<_> = targets.collect();
    json!({"targets": targets, "sources": [STANDARD.encode(&file.text)]})
}

/// The findings of the checks in a file (`--call=check`).
pub fn lint(name: &str, text: &str, warnings: &[Warning]) -> Value {
    let finding = |warning: &Warning| {
        json!({
            "ruleName": warning.check,
            "description": warning.description,
            "url": address(&warning.check),
            "detail": warning.message,
            "location": location(&warning.lines),
        })
    };
    let warnings: Vec<_> = warnings.iter().map(finding).collect();
    let source = json!({"filename": name, "data": STANDARD.encode(text), "language": "Dockerfile"});
    let warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
    json!({"warnings": warnings, "sources": [source]})
}

fn set(document: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        document.insert(name.to_owned(), json!(text));
    }
}

fn set_list(document: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        document.insert(name.to_owned(), Value::Array(list));
    }
}

fn wanted(wanted: &Wanted) -> Value {
    let mut entry = Map::from_iter([("name".to_owned(), json!(wanted.name))]);
    if wanted.required {
        entry.insert("required".to_owned(), json!(true));
    }
    entry.insert("location".to_owned(), location(&wanted.lines));
    Value::Object(entry)
}

fn location(lines: &RangeInclusive<usize>) -> Value {
    json!({"ranges": [{"start": {"line": lines.start()}, "end": {"line": lines.end()}}]})
}

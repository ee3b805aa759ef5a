//! `--call`: what a Dockerfile says about itself instead of being built, as text or JSON.

use std::{fmt::Write as _, ops::RangeInclusive};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use wharf_api::build::{Outcome, Request, Warning};
use wharf_build::{
    check::address,
    dockerfile::Dockerfile,
    plan::{PlanOptions, Wanted, outline},
};

use super::context::Context;
use crate::{Error, Result, print, render, value};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Build,
    Check,
    Outline,
    Targets,
}

/// What is asked for, and in which form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) call: Call,
    json: bool,
}

impl Question {
    /// Reads `--call`, and `--check` which is short for one.
    ///
    /// # Errors
    /// In the words of the reference builder.
    pub(super) fn parse(text: &str, check: bool) -> Result<Self> {
        let fields = value::split_record(text).map_err(Error::message)?;
        let mut question = Self { call: if check { Call::Check } else { Call::Build }, json: false };
        for field in &fields {
            match field.split_once('=') {
                Some(("format", "json")) => question.json = true,
                Some(("format", "" | "text" | "default")) | Some(("ignorestatus", _)) => {}
                Some(("format", other)) => {
                    return Err(Error::message(format!("unsupported format {other:?} of --call")));
                }
                Some((key, _)) => return Err(Error::message(format!("invalid --call option {key:?}"))),
                None if check => {}
                None => question.call = call(field)?,
            }
        }
        Ok(question)
    }

    /// Answers what the Dockerfile alone tells; what is built or checked needs the engine.
    ///
    /// # Errors
    /// The Dockerfile cannot be read, or is not here.
    pub(super) fn answer(self, request: &Request, context: &Context) -> Result<()> {
        if !context.remote.is_empty() {
            return Err(Error::message("--call needs the Dockerfile of a context that is here"));
        }
        let failed = |message: String| Error::message(format!("failed to solve: {message}"));
        let file = Dockerfile::parse(&request.dockerfile).map_err(|error| failed(error.message))?;
        if self.call == Call::Targets {
            self.targets(&file);
            return Ok(());
        }
        let options = PlanOptions {
            target: request.target.clone(),
            build_args: request.build_args.clone(),
            ..PlanOptions::default()
        };
        let found = outline(&file, &options).map_err(|error| failed(error.to_string()))?;
        if self.json {
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
            print_json(&Value::Object(document));
            return Ok(());
        }
        let mut text = String::new();
        if !found.name.is_empty() || found.description.is_some() {
            let name = if found.name.is_empty() { "(default)" } else { &found.name };
            let mut head = format!("TARGET:\t{name}\n");
            if let Some(description) = &found.description {
                let _ = writeln!(head, "DESCRIPTION:\t{description}");
            }
            text.push_str(&render::table_padded(&head, 1));
            text.push('\n');
        }
        if !found.args.is_empty() {
            let mut table = "BUILD ARG\tVALUE\tDESCRIPTION\n".to_owned();
            for arg in &found.args {
                let description = arg.description.as_deref().unwrap_or_default();
                let _ = writeln!(table, "{}\t{}\t{description}", arg.name, arg.value);
            }
            text.push_str(&render::table_padded(&table, 3));
            text.push('\n');
        }
        for (heading, list) in [("SECRET", &found.secrets), ("SSH", &found.ssh)] {
            if !list.is_empty() {
                let mut table = format!("{heading}\tREQUIRED\n");
                for wanted in list {
                    let _ = writeln!(table, "{}\t{}", wanted.name, if wanted.required { "true" } else { "" });
                }
                text.push_str(&render::table_padded(&table, 3));
                text.push('\n');
            }
        }
        print::out(&text);
        Ok(())
    }

    fn targets(self, file: &Dockerfile) {
        if self.json {
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
            print_json(&json!({"targets": targets, "sources": [STANDARD.encode(&file.text)]}));
            return;
        }
        let mut table = "TARGET\tDESCRIPTION\n".to_owned();
        for target in file.targets() {
            let name = match (target.name, target.default) {
                ("", true) => "(default)".to_owned(),
                (name, true) => format!("{name} (default)"),
                (name, false) => name.to_owned(),
            };
            let _ = writeln!(table, "{name}\t{}", target.description.unwrap_or_default());
        }
        print::out(&render::table_padded(&table, 1));
    }

    /// Shows the findings of the build checks.
    ///
    /// # Errors
    /// There are some, or the file cannot be built.
    pub(super) fn report(self, outcome: &Outcome, request: &Request, context: &Context) -> Result<()> {
        if let Some(error) = &outcome.error {
            return Err(Error::message(format!("failed to solve: {}", error.message)));
        }
        let (name, text) = (&context.dockerfile_name, &request.dockerfile);
        if self.json {
            let warnings: Vec<_> = outcome.warnings.iter().map(finding).collect();
            let source = json!({"filename": name, "data": STANDARD.encode(text), "language": "Dockerfile"});
            let warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
            print_json(&json!({"warnings": warnings, "sources": [source]}));
        } else if outcome.warnings.is_empty() {
            print::line("Check complete, no warnings found.");
        } else {
            let count = outcome.warnings.len();
            let plural = if count == 1 { "warning has" } else { "warnings have" };
            print::line(&format!("Check complete, {count} {plural} been found!"));
            for warning in &outcome.warnings {
                let lines = warning.lines.0..=warning.lines.1;
                print::out(&format!(
                    "\nWARNING: {} - {}\n{}\n{}",
                    warning.check,
                    address(&warning.check),
                    warning.message,
                    wharf_build::excerpt(name, text, &lines)
                ));
            }
        }
        if outcome.warnings.is_empty() { Ok(()) } else { Err(Error::exit(1)) }
    }
}

fn call(name: &str) -> Result<Call> {
    match name {
        "build" | "" => Ok(Call::Build),
        "check" | "lint" => Ok(Call::Check),
        "outline" => Ok(Call::Outline),
        "targets" => Ok(Call::Targets),
        other => Err(Error::message(format!(
            "failed to solve: unsupported request frontend.{other}: unsupported request frontend.{other}"
        ))),
    }
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

fn finding(warning: &Warning) -> Value {
    json!({
        "ruleName": warning.check,
        "description": warning.description,
        "url": address(&warning.check),
        "detail": warning.message,
        "location": location(&(warning.lines.0..=warning.lines.1)),
    })
}

fn location(lines: &RangeInclusive<usize>) -> Value {
    json!({"ranges": [{"start": {"line": lines.start()}, "end": {"line": lines.end()}}]})
}

fn print_json(document: &Value) {
    print::line(&serde_json::to_string_pretty(document).unwrap_or_default());
}

//! `--call`: what a Dockerfile says about itself instead of being built, as text or JSON.

use std::fmt::Write as _;

use serde_json::Value;
use wharf_api::build::{Outcome, Request, Warning};
use wharf_build::{
    check::address,
    dockerfile::Dockerfile,
    plan::{PlanOptions, outline},
    report,
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
            print_json(&report::outline(&file, &found));
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
            print_json(&report::targets(file));
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
            print_json(&report::lint(name, text, &outcome.warnings.iter().map(warning).collect::<Vec<_>>()));
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

fn warning(warning: &Warning) -> wharf_build::Warning {
    wharf_build::Warning {
        check: warning.check.clone(),
        message: warning.message.clone(),
        description: warning.description.clone(),
        lines: warning.lines.0..=warning.lines.1,
    }
}

fn print_json(document: &Value) {
    print::line(&serde_json::to_string_pretty(document).unwrap_or_default());
}

//! The command line: parsing, rendering and exit codes.
//!
//! - [`run`] takes an argument list to its exit status.
//! - `command`, `flag`: the definition of a command; `app` holds the tree of all of them.
//! - `parse`, `matches`, `value`: Go's flag rules and notations; `help`, `error`: Docker's texts.
//! - `commands`: one file per command. `render`: tables, units, progress. `cli`: what every command gets.
//! - `terminal`, `stdio`: raw mode, size, detach keys; standard streams that do not block the rest.
//! - `autostart`: a daemon where none runs yet.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod app;
mod autostart;
mod cli;
mod command;
mod commands;
mod config;
mod error;
mod flag;
mod help;
mod inspect;
mod matches;
mod output;
mod parse;
mod platform;
mod print;
mod progress;
mod prompt;
mod prune;
mod registry_auth;
mod render;
mod stdio;
mod terminal;
mod time;
mod value;

use std::{ffi::OsString, path::Path, process::ExitCode};

pub(crate) use self::{
    cli::Cli,
    error::{Error, Result},
    matches::Matches,
};

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit the program was built from, where the build knew it.
pub const BUILD: &str = match option_env!("WHARF_BUILD") {
    Some(build) => build,
    None => "unknown",
};

/// Runs the command line `args`, of which the first is the name the program was called by.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
    let name = args.next().unwrap_or_default();
    let program =
        Path::new(&name).file_name().map_or("wharf".into(), |name| name.to_string_lossy().into_owned());
    let args: Vec<_> = args.collect();
    let result = if args.first().is_some_and(|arg| arg == autostart::DETACHED) {
        Err(autostart::become_daemon())
    } else {
        app::run(&program, args)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.report(&program);
            if !text.is_empty() {
                print::warn(&text);
            }
            ExitCode::from(error.code())
        }
    }
}

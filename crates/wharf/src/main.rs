//! The `wharf` binary: picks a subcommand or an `argv[0]` name and hands over.
//!
//! Nothing may start a thread before the dispatch is done: the launcher, monitors and the runtime fork.

mod daemon;
mod hello;
mod init;
mod registry;

use std::{env, ffi::OsString, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    let name =
        args.first().map(Path::new).and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match name.as_deref() {
        Some("wharf-launcher") => wharf_monitor::launcher_main(),
        Some("docker-init") => init::main(&args[1..]),
        Some("hello") => hello::main(),
        Some("registry") => registry::main(&args[1..]),
        Some("wharfd" | "dockerd") => daemon::main(&args[1..]),
        _ => match args.get(1).and_then(|arg| arg.to_str()) {
            Some("daemon") => daemon::main(&args[2..]),
            Some("registry") => registry::main(&args[2..]),
            Some("runtime") => wharf_runtime::cli::main(args.into_iter().skip(2).collect()),
            _ => wharf_cli::run(args),
        },
    }
}

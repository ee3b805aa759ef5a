//! The `wharf` binary: picks a subcommand or an `argv[0]` name and hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf_cli::run(std::env::args_os().collect())
}

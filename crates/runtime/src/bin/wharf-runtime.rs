//! The runtime without the rest of the platform: what the tests run, and what another engine can be pointed at.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf_runtime::cli::main(std::env::args_os().skip(1).collect())
}

//! The command line without an engine in it, to try it against any engine: `DOCKER_HOST=… cargo run --example cli ps`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    args[0] = "wharf".into();
    wharf_cli::run(args)
}

//! What the embedded `hello-world` image runs.

use std::{
    io::{self, Write},
    process::ExitCode,
};

const GREETING: &str = "
Hello from wharf!
This message shows that your installation works.

What just happened:
 1. The wharf client asked the engine to run the image \"hello-world\". If no
    engine was running, the client started one.
 2. The image was fetched from a registry, or, as none answered, made from the
    wharf binary itself, which carries it.
 3. The engine made a container from the image: its own root file system,
    process tree, network and limits. The program in it wrote this text.
 4. The container's output went through the engine to the client, and so to
    your terminal.

Something more ambitious, once a registry is in reach:
 $ wharf run -it debian bash

";

/// Prints the greeting.
pub(crate) fn main() -> ExitCode {
    match io::stdout().write_all(GREETING.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

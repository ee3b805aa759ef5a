//! `builder shell`: a look into what a failed build step left.

use std::{io::IsTerminal, process::Command as Process};

use serde::Deserialize;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("shell", "[COMMAND] [ARG...]", "Open the file system of the last build step that failed")
        .args(Args::Any)
        .trailing()
        .run(run);

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Opened {
    id: String,
}

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let client = cli.client()?;
    let opened: Opened = cli.block_on(async { Ok(client.build_shell().await?) })?;
    // As `run` does it, with all that it does about terminals and signals.
    let mut process = Process::new(std::env::current_exe()?);
    if let Some(host) = cli.host() {
        process.args(["-H", host]);
    }
    process.args(["run", "--rm", "-i"]);
    if std::io::stdin().is_terminal() {
        process.arg("-t");
    }
    let status = process.arg(&opened.id).args(m.args()).status()?;
    // The image was made for this alone.
    cli.block_on(async {
        Ok(client.image_remove::<serde_json::Value>(&opened.id, true, false, &[]).await?)
    })?;
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Error::exit(u8::try_from(code.unwrap_or(1)).unwrap_or(1))),
    }
}

//! `container rename`.

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    print,
};

/// The definition.
pub(crate) const COMMAND: Command = Command::new("rename", "CONTAINER NEW_NAME", "Rename a container")
    .aliases(&["container rename", "rename"])
    .args(Args::Exact(2))
    .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (old, new) = (m.arg(0).trim(), m.arg(1).trim());
    if old.is_empty() || new.is_empty() {
        return Err(Error::message("Error: Neither old nor new names may be empty"));
    }
    let client = cli.client()?;
    cli.block_on(async {
        client.container_rename(old, new).await.map_err(|error| {
            print::warn(&error.to_string());
            Error::message(format!("Error: failed to rename container named {old}"))
        })
    })
}

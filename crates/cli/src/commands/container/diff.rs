//! `container diff`.

use wharf_api::container::Change;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    print,
};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("diff", "CONTAINER", "Inspect changes to files or directories on a container's filesystem")
        .aliases(&["container diff", "diff"])
        .args(Args::Exact(1))
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    if m.arg(0).is_empty() {
        return Err(Error::message("Container name cannot be empty"));
    }
    let client = cli.client()?;
    let changes: Option<Vec<Change>> =
        cli.block_on(async { Ok(client.container_changes(m.arg(0)).await?) })?;
    let mut text = String::new();
    for change in changes.unwrap_or_default() {
        let kind = ["C", "A", "D"].get(usize::from(change.kind)).unwrap_or(&"?");
        text.push_str(&format!("{kind} {}\n", change.path));
    }
    print::out(&text);
    Ok(())
}

//! `container top`.

use wharf_api::container::TopResponse;

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    print, render,
};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("top", "CONTAINER [ps OPTIONS]", "Display the running processes of a container")
        .aliases(&["container top", "top"])
        .args(Args::Min(1))
        .trailing()
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let client = cli.client()?;
    let arguments = m.args()[1..].join(" ");
    let top: TopResponse = cli.block_on(async { Ok(client.container_top(m.arg(0), &arguments).await?) })?;
    let mut text = top.titles.join("\t") + "\n";
    for process in &top.processes {
        text.push_str(&process.join("\t"));
        text.push('\n');
    }
    print::out(&render::table(&text, 20));
    Ok(())
}

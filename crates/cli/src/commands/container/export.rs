//! `container export`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    output,
};

static FLAGS: &[Flag] = &[Flag::string("output", "Write to a file, instead of STDOUT").short('o')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("export", "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive")
        .aliases(&["container export", "export"])
        .args(Args::Exact(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let path = m.str("output");
    output::check(path, "failed to export container")?;
    let client = cli.client()?;
    cli.block_on(async {
        let archive = client.container_export(m.arg(0)).await?;
        output::write(archive, path).await
    })
}

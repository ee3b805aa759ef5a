//! `image load`.

use crate::{Cli, Error, Matches, Result, command::Command, flag::Flag, output, platform, print, progress};

static FLAGS: &[Flag] = &[
    Flag::string("input", "Read from tar archive file, instead of STDIN").short('i'),
    Flag::string(
        "platform",
        "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::bool("quiet", "Suppress the load output").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("load", "[OPTIONS]", "Load an image from a tar archive or STDIN")
        .aliases(&["image load", "load"])
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let input = m.str("input");
    let platform = platform::document(m.str("platform"), "invalid platform: ")?;
    if input.is_empty() && std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(Error::message("requested load from stdin, but stdin is empty"));
    }
    let quiet = m.bool("quiet") || !print::is_terminal();
    cli.block_on(async {
        let archive = output::open(input).await?;
        let messages = cli.client()?.image_load(quiet, &platform, archive).await?;
        progress::show(messages).await
    })
}

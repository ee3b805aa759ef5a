//! `image save`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    output, platform,
};

static FLAGS: &[Flag] = &[
    Flag::string("output", "Write to a file, instead of STDOUT").short('o'),
    Flag::string(
        "platform",
        "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "save",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
)
.aliases(&["image save", "save"])
.args(Args::Min(1))
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let path = m.str("output");
    output::check(path, "failed to save image")?;
    let platform = platform::document(m.str("platform"), "invalid platform: ")?;
    let client = cli.client()?;
    cli.block_on(async {
        let archive = client.image_save(m.args(), &platform).await?;
        output::write(archive, path).await
    })
}

//! `image inspect`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
    inspect, platform,
};

static FLAGS: &[Flag] = &[
    Flag::string("format", INSPECT_FORMAT_HELP).short('f'),
    Flag::string(
        "platform",
        "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    ),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Display detailed information on one or more images",
)
.args(Args::Min(1))
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let platform = platform::document(m.str("platform"), "")?;
    inspect::run_with(cli, m.args(), m.str("format"), async |client, name| {
        inspect::image(client, name, &platform).await
    })
}

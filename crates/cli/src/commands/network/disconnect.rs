//! `network disconnect`.

use wharf_api::network::DisconnectRequest;

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[Flag::bool("force", "Force the container to disconnect from a network").short('f')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("disconnect", "[OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network")
        .args(Args::Exact(2))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let request = DisconnectRequest { container: m.arg(1).to_owned(), force: m.bool("force") };
    let client = cli.client()?;
    cli.block_on(async { Ok(client.network_disconnect(m.arg(0), &request).await?) })
}

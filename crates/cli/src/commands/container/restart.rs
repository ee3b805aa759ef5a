//! `container restart`.

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    commands::container::stop,
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("signal", "Signal to send to the container").short('s'),
    Flag::int("timeout", "Seconds to wait before killing the container").short('t'),
    Flag::int("time", "").same_as("timeout").deprecated("use --timeout instead"),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("restart", "[OPTIONS] CONTAINER [CONTAINER...]", "Restart one or more containers")
        .aliases(&["container restart", "restart"])
        .args(Args::Min(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let options = &stop::stop_options(m);
    cli.each(m.args(), async |client, name| {
        client.container_restart(&name, options).await?;
        Ok(name)
    })
}

//! `container stop`.

use wharf_client::StopOptions;

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    commands::container::several,
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("signal", "Signal to send to the container").short('s'),
    Flag::int("timeout", "Seconds to wait before killing the container").short('t'),
    Flag::int("time", "").same_as("timeout").deprecated("use --timeout instead"),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("stop", "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers")
        .aliases(&["container stop", "stop"])
        .args(Args::Min(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let options = stop_options(m);
    several(cli, m.args(), async |client, name| client.container_stop(name, &options).await.map(drop))
}

/// The signal and the patience that `stop` and `restart` take.
pub(super) fn stop_options(m: &Matches) -> StopOptions {
    StopOptions { signal: m.opt("signal").map(str::to_owned), timeout: m.opt_int("timeout") }
}

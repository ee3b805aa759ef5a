//! `network rm`.

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[Flag::bool("force", "Do not error if the network does not exist").short('f')];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("rm", "NETWORK [NETWORK...]", "Remove one or more networks")
    .other_names(&["remove"])
    .aliases(&["network rm", "network remove"])
    .args(Args::Min(1))
    .flags(FLAGS)
    .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let force = m.bool("force");
    let client = cli.client()?;
    cli.block_on(async {
        let mut failed = false;
        for name in m.args() {
            match client.network_remove(name).await.map_err(Error::from) {
                Ok(()) => print::line(name),
                Err(error) if force && error.is_not_found() => {}
                Err(error) => {
                    print::warn(&error.to_string());
                    failed = true;
                }
            }
        }
        // compat: every failure was reported, and Docker still says this.
        if failed { Err(Error::message("exit status 1")) } else { Ok(()) }
    })
}

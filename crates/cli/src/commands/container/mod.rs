//! The commands below `container`.

pub(crate) mod attach;
pub(crate) mod commit;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod diff;
pub(crate) mod exec;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod options;
pub(crate) mod pause;
pub(crate) mod port;
pub(crate) mod prune;
pub(crate) mod rename;
pub(crate) mod restart;
pub(crate) mod rm;
pub(crate) mod run;
mod session;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod unpause;
pub(crate) mod update;
pub(crate) mod wait;

use wharf_client::Client;

use crate::{Cli, Error, Result, command::Command, print};

/// The group.
pub(crate) const GROUP: Command = Command::group("container", "Manage containers", BELOW);

static BELOW: &[Command] = &[
    attach::COMMAND,
    commit::COMMAND,
    cp::COMMAND,
    create::COMMAND,
    diff::COMMAND,
    exec::COMMAND,
    export::COMMAND,
    inspect::COMMAND,
    kill::COMMAND,
    logs::COMMAND,
    ls::COMMAND,
    pause::COMMAND,
    port::COMMAND,
    prune::COMMAND,
    rename::COMMAND,
    restart::COMMAND,
    rm::COMMAND,
    run::COMMAND,
    start::COMMAND,
    stats::COMMAND,
    stop::COMMAND,
    top::COMMAND,
    unpause::COMMAND,
    update::COMMAND,
    wait::COMMAND,
];

/// Calls `work` for all names at the same time, and prints those it succeeded for in the order given.
///
/// # Errors
/// What failed, one message per line.
fn several(
    cli: &Cli,
    names: &[String],
    work: impl AsyncFn(&Client, &str) -> wharf_client::Result<()>,
) -> Result<()> {
    use futures_util::stream::{self, StreamExt};

    /// How many are worked on at a time.
    const TOGETHER: usize = 50;
    let client = cli.client()?;
    cli.block_on(async {
        let mut results =
            stream::iter(names).map(async |name| (name, work(&client, name).await)).buffered(TOGETHER);
        let mut errors = Vec::new();
        while let Some((name, result)) = results.next().await {
            match result {
                Ok(()) => print::line(name),
                Err(error) => errors.push(Error::from(error)),
            }
        }
        Error::join(errors)
    })
}

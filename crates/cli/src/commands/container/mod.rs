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
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod unpause;
pub(crate) mod update;
pub(crate) mod wait;

use crate::command::Command;

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

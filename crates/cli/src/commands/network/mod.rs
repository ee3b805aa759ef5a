//! The commands below `network`.

pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod disconnect;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod rm;

use crate::command::Command;

/// The group.
pub(crate) const GROUP: Command = Command::group("network", "Manage networks", BELOW);

static BELOW: &[Command] = &[
    connect::COMMAND,
    create::COMMAND,
    disconnect::COMMAND,
    inspect::COMMAND,
    ls::COMMAND,
    prune::COMMAND,
    rm::COMMAND,
];

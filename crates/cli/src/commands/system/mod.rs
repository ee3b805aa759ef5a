//! The commands below `system`.

pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod df;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod man;
pub(crate) mod prune;
pub(crate) mod version;

use crate::command::Command;

/// The group.
pub(crate) const GROUP: Command = Command::group("system", "Manage the engine", BELOW);

static BELOW: &[Command] = &[check::COMMAND, df::COMMAND, events::COMMAND, info::COMMAND, prune::COMMAND];

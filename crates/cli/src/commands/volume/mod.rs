//! The commands below `volume`.

pub(crate) mod create;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod rm;

use crate::command::Command;

/// The group.
pub(crate) const GROUP: Command = Command::group("volume", "Manage volumes", BELOW);

static BELOW: &[Command] = &[create::COMMAND, inspect::COMMAND, ls::COMMAND, prune::COMMAND, rm::COMMAND];

//! `system logout`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command = Command::new("logout", "[SERVER]", "Log out from a registry.")
    .long("Log out from a registry.\nIf no server is specified, the default is defined by the daemon.")
    .args(Args::Max(1));

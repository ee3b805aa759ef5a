//! `container wait`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "wait",
    "CONTAINER [CONTAINER...]",
    "Block until one or more containers stop, then print their exit codes",
)
.aliases(&["container wait", "wait"])
.args(Args::Min(1));

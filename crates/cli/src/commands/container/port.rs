//! `container port`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "port",
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "List port mappings or a specific mapping for the container",
)
.aliases(&["container port", "port"])
.args(Args::Range(1, 2));

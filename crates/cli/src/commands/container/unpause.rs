//! `container unpause`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "unpause",
    "CONTAINER [CONTAINER...]",
    "Unpause all processes within one or more containers",
)
.aliases(&["container unpause", "unpause"])
.args(Args::Min(1));

//! `container top`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("top", "CONTAINER [ps OPTIONS]", "Display the running processes of a container")
        .aliases(&["container top", "top"])
        .args(Args::Min(1))
        .trailing();

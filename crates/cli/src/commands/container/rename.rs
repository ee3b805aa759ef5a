//! `container rename`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command = Command::new("rename", "CONTAINER NEW_NAME", "Rename a container")
    .aliases(&["container rename", "rename"])
    .args(Args::Exact(2));

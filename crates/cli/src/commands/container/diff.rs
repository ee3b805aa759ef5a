//! `container diff`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("diff", "CONTAINER", "Inspect changes to files or directories on a container's filesystem")
        .aliases(&["container diff", "diff"])
        .args(Args::Exact(1));

//! `container pause`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("pause", "CONTAINER [CONTAINER...]", "Pause all processes within one or more containers")
        .aliases(&["container pause", "pause"])
        .args(Args::Min(1));

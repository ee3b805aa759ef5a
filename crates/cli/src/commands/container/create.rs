//! `container create`.

use crate::{
    command::{Args, Command},
    commands::container::options,
};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("create", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container")
        .aliases(&["container create", "create"])
        .args(Args::Min(1))
        .trailing()
        .flags(options::CREATE);

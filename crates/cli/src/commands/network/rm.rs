//! `network rm`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[Flag::bool("force", "Do not error if the network does not exist").short('f')];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("rm", "NETWORK [NETWORK...]", "Remove one or more networks")
    .other_names(&["remove"])
    .aliases(&["network rm", "network remove"])
    .args(Args::Min(1))
    .flags(FLAGS);

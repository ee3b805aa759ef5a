//! `container prune`.

use crate::{command::Command, flag::Flag};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("prune", "[OPTIONS]", "Remove all stopped containers").flags(FLAGS);

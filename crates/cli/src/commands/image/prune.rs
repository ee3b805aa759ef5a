//! `image prune`.

use crate::{command::Command, flag::Flag};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Remove all unused images, not just dangling ones").short('a'),
    Flag::filter("Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("prune", "[OPTIONS]", "Remove unused images").flags(FLAGS);

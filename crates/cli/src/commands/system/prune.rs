//! `system prune`.

use crate::{command::Command, flag::Flag};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Remove all unused images not just dangling ones").short('a'),
    Flag::filter("Provide filter values (e.g. \"label=<key>=<value>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
    Flag::bool("volumes", "Prune anonymous volumes"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("prune", "[OPTIONS]", "Remove unused data").flags(FLAGS);

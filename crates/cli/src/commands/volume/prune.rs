//! `volume prune`.

use crate::{command::Command, flag::Flag};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Remove all unused volumes, not just anonymous ones").short('a'),
    Flag::filter("Provide filter values (e.g. \"label=<label>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("prune", "[OPTIONS]", "Remove unused local volumes").flags(FLAGS);

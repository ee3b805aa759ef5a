//! `volume create`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("driver", "Specify volume driver name").short('d').default("local"),
    Flag::list("label", "Set metadata for a volume"),
    Flag::map("opt", "Set driver specific options").short('o'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("create", "[OPTIONS] [VOLUME]", "Create a volume").args(Args::Max(1)).flags(FLAGS);

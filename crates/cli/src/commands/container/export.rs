//! `container export`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[Flag::string("output", "Write to a file, instead of STDOUT").short('o')];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("export", "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive")
        .aliases(&["container export", "export"])
        .args(Args::Exact(1))
        .flags(FLAGS);

//! `image load`.

use crate::{command::Command, flag::Flag};

static FLAGS: &[Flag] = &[
    Flag::string("input", "Read from tar archive file, instead of STDIN").short('i'),
    Flag::string(
        "platform",
        "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::bool("quiet", "Suppress the load output").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("load", "[OPTIONS]", "Load an image from a tar archive or STDIN")
        .aliases(&["image load", "load"])
        .flags(FLAGS);

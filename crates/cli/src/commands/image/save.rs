//! `image save`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("output", "Write to a file, instead of STDOUT").short('o'),
    Flag::string(
        "platform",
        "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "save",
    "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
)
.aliases(&["image save", "save"])
.args(Args::Min(1))
.flags(FLAGS);

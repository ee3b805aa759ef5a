//! `image rm`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::bool("force", "Force removal of the image").short('f'),
    Flag::bool("no-prune", "Do not delete untagged parents"),
    Flag::strings(
        "platform",
        "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("rm", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images")
        .other_names(&["remove"])
        .aliases(&["image rm", "image remove", "rmi"])
        .args(Args::Min(1))
        .flags(FLAGS);

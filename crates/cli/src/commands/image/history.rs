//! `image history`.

use crate::{
    command::{Args, Command},
    flag::{FORMAT_HELP, Flag},
};

static FLAGS: &[Flag] = &[
    Flag::string("format", FORMAT_HELP),
    Flag::bool("human", "Print sizes and dates in human readable format").short('H').default("true"),
    Flag::bool("no-trunc", "Don't truncate output"),
    Flag::string(
        "platform",
        "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::bool("quiet", "Only show image IDs").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("history", "[OPTIONS] IMAGE", "Show the history of an image")
        .aliases(&["image history", "history"])
        .args(Args::Exact(1))
        .flags(FLAGS);

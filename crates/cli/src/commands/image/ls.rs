//! `image ls`.

use crate::{
    command::{Args, Command},
    flag::{FORMAT_HELP, Flag},
};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Show all images (default hides intermediate images)").short('a'),
    Flag::bool("digests", "Show digests"),
    Flag::filter("Filter output based on conditions provided").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("no-trunc", "Don't truncate output"),
    Flag::bool("quiet", "Only show image IDs").short('q'),
    Flag::bool("tree", "List multi-platform images as a tree (EXPERIMENTAL)"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS] [REPOSITORY[:TAG]]", "List images")
    .other_names(&["list"])
    .aliases(&["image ls", "image list", "images"])
    .args(Args::Max(1))
    .flags(FLAGS);

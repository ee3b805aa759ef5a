//! `image pull`.

use crate::{
    command::{Args, Command},
    flag::Flag,
    value,
};

static FLAGS: &[Flag] = &[
    Flag::bool("all-tags", "Download all tagged images in the repository").short('a'),
    Flag::bool("disable-content-trust", "Skip image verification")
        .default("true")
        .check(value::check_content_trust),
    Flag::string("platform", "Set platform if server is multi-platform capable"),
    Flag::bool("quiet", "Suppress verbose output").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry")
        .aliases(&["image pull", "pull"])
        .args(Args::Exact(1))
        .flags(FLAGS);

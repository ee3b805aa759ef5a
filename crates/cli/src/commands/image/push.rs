//! `image push`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::bool("all-tags", "Push all tags of an image to the repository").short('a'),
    Flag::bool("disable-content-trust", "Skip image signing").default("true"),
    Flag::string(
        "platform",
        "Push a platform-specific manifest as a single-platform image to the registry.\nImage index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    ),
    Flag::bool("quiet", "Suppress verbose output").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry")
        .aliases(&["image push", "push"])
        .args(Args::Exact(1))
        .flags(FLAGS);

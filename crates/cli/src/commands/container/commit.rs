//! `container commit`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("author", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")").short('a'),
    Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
    Flag::string("message", "Commit message").short('m'),
    Flag::bool("pause", "Pause container during commit").short('p').default("true"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "commit",
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
)
.aliases(&["container commit", "commit"])
.args(Args::Range(1, 2))
.flags(FLAGS);

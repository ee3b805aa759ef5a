//! `image tag`.

use crate::command::{Args, Command};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
)
.aliases(&["image tag", "tag"])
.args(Args::Exact(2));

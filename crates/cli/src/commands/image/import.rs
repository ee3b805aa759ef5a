//! `image import`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
    Flag::string("message", "Set commit message for imported image").short('m'),
    Flag::string("platform", "Set platform if server is multi-platform capable"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "import",
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
)
.aliases(&["image import", "import"])
.args(Args::Min(1))
.flags(FLAGS);

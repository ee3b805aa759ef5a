//! The commands below `image`.

pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rm;
pub(crate) mod save;
pub(crate) mod search;
pub(crate) mod tag;
mod tree;

use crate::command::Command;

/// The group.
pub(crate) const GROUP: Command = Command::group("image", "Manage images", BELOW);

static BELOW: &[Command] = &[
    super::builder::build::AS_IMAGE_COMMAND,
    history::COMMAND,
    import::COMMAND,
    inspect::COMMAND,
    load::COMMAND,
    ls::COMMAND,
    prune::COMMAND,
    pull::COMMAND,
    push::COMMAND,
    rm::COMMAND,
    save::COMMAND,
    tag::COMMAND,
];

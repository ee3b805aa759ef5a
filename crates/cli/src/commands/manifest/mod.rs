//! The commands below `manifest`: manifests and lists of them, straight from registries and in the client's own folder.
//! The engine has no part in them.

pub(crate) mod annotate;
pub(crate) mod create;
mod entry;
pub(crate) mod inspect;
mod json;
mod lists;
pub(crate) mod push;
mod remote;
pub(crate) mod rm;

use wharf_oci::Reference;

use crate::{Error, Result, command::Command};

/// The group.
pub(crate) const GROUP: Command =
    Command::group("manifest", "Manage Docker image manifests and manifest lists", BELOW)
        .long(
            "The **docker manifest** command has subcommands for managing image manifests and\nmanifest lists. A manifest \
             list allows you to use one name to refer to the same image\nbuilt for multiple architectures.\n\nTo see help \
             for a subcommand, use:\n\n    docker manifest CMD --help\n\nFor full details on using docker manifest lists, \
             see the registry v2 specification.",
        )
        .experimental();

static BELOW: &[Command] =
    &[annotate::COMMAND, create::COMMAND, inspect::COMMAND, push::COMMAND, rm::COMMAND];

/// Reads the name of an image or list; a name alone means its tag `latest`.
fn reference(text: &str) -> Result<Reference> {
    Reference::parse(text).map(Reference::with_default_tag).map_err(|error| Error::message(error.to_string()))
}

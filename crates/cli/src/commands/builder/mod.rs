//! The commands below `builder` and `buildx`.

mod annotations;
mod attest;
pub(crate) mod build;
mod cache;
mod call;
mod compressed;
mod context;
mod display;
mod du;
mod output;
pub(crate) mod prune;
mod request;
mod session;
mod shell;
mod ssh;

use crate::command::Command;

/// The group.
pub(crate) const GROUP: Command = Command::group("builder", "Manage builds", BELOW);

/// The same under the name of Docker's plugin.
pub(crate) const BUILDX: Command = Command::group("buildx", "Docker Buildx", BELOW);

static BELOW: &[Command] = &[build::COMMAND, du::COMMAND, prune::COMMAND, shell::COMMAND];

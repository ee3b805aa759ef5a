//! `system login`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("password", "Password or Personal Access Token (PAT)").short('p'),
    Flag::bool("password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
    Flag::string("username", "Username").short('u'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("login", "[OPTIONS] [SERVER]", "Authenticate to a registry")
    .long("Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.")
    .args(Args::Max(1))
    .flags(FLAGS);

//! `container run`.

use crate::{
    command::{Args, Command},
    commands::container::options::CREATE_FLAGS,
    flag::{self, Flag},
};

static FLAGS: &[Flag] = &flag::concat::<{ CREATE_FLAGS.len() }, 3, { CREATE_FLAGS.len() + 3 }>(
    CREATE_FLAGS,
    [
        Flag::bool("detach", "Run container in background and print container ID").short('d'),
        Flag::string("detach-keys", "Override the key sequence for detaching a container"),
        Flag::bool("sig-proxy", "Proxy received signals to the process").default("true"),
    ],
);

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("run", "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image")
        .aliases(&["container run", "run"])
        .args(Args::Min(1))
        .trailing()
        .flags(FLAGS);

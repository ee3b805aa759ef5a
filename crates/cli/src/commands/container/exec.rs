//! `container exec`.

use crate::{
    command::{Args, Command},
    commands::container::options,
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::bool("detach", "Detached mode: run command in the background").short('d'),
    Flag::string("detach-keys", "Override the key sequence for detaching a container"),
    Flag::list("env", "Set environment variables").short('e').check(options::env),
    Flag::list("env-file", "Read in a file of environment variables"),
    Flag::bool("interactive", "Keep STDIN open even if not attached").short('i'),
    Flag::bool("privileged", "Give extended privileges to the command"),
    Flag::bool("tty", "Allocate a pseudo-TTY").short('t'),
    Flag::string("user", "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'),
    Flag::string("workdir", "Working directory inside the container").short('w'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("exec", "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container")
        .aliases(&["container exec", "exec"])
        .args(Args::Min(2))
        .trailing()
        .flags(FLAGS);

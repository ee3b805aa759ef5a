//! `container attach`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::string("detach-keys", "Override the key sequence for detaching a container"),
    Flag::bool("no-stdin", "Do not attach STDIN"),
    Flag::bool("sig-proxy", "Proxy all received signals to the process").default("true"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "attach",
    "[OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
)
.aliases(&["container attach", "attach"])
.args(Args::Exact(1))
.flags(FLAGS);

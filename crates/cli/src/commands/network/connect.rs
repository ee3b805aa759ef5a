//! `network connect`.

use crate::{
    command::{Args, Command},
    flag::Flag,
};

static FLAGS: &[Flag] = &[
    Flag::strings("alias", "Add network-scoped alias for the container"),
    Flag::strings("driver-opt", "driver options for the network"),
    Flag::int(
        "gw-priority",
        "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
    ),
    Flag::string("ip", "IPv4 address (e.g., \"172.30.100.104\")"),
    Flag::string("ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
    Flag::list("link", "Add link to another container"),
    Flag::strings("link-local-ip", "Add a link-local address for the container"),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("connect", "[OPTIONS] NETWORK CONTAINER", "Connect a container to a network")
        .args(Args::Exact(2))
        .flags(FLAGS);

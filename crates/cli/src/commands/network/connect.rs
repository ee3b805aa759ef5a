//! `network connect`.

use std::collections::BTreeMap;

use wharf_api::network::{ConnectRequest, EndpointIpamConfig, EndpointSettings};

use crate::{
    Cli, Error, Matches, Result,
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
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let mut options = BTreeMap::new();
    for option in m.list("driver-opt") {
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| Error::message("invalid key/value pair format in driver options"))?;
        options.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: m.str("ip").to_owned(),
            ipv6_address: m.str("ip6").to_owned(),
            link_local_ips: m.list("link-local-ip"),
        }),
        links: Some(m.list("link")).filter(|links| !links.is_empty()),
        aliases: Some(m.list("alias")).filter(|aliases| !aliases.is_empty()),
        driver_opts: Some(options).filter(|options| !options.is_empty()),
        gw_priority: m.int("gw-priority"),
        ..EndpointSettings::default()
    };
    let request = ConnectRequest { container: m.arg(1).to_owned(), endpoint_config: Some(endpoint) };
    let client = cli.client()?;
    cli.block_on(async { Ok(client.network_connect(m.arg(0), &request).await?) })
}

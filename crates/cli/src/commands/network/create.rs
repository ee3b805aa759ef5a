//! `network create`.

use std::collections::BTreeMap;

use wharf_api::network::{ConfigReference, CreateRequest, Ipam, IpamConfig};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::bool("attachable", "Enable manual container attachment"),
    Flag::map("aux-address", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
    Flag::string("config-from", "The network from which to copy the configuration"),
    Flag::bool("config-only", "Create a configuration only network"),
    Flag::string("driver", "Driver to manage the Network").short('d').default("bridge"),
    Flag::strings("gateway", "IPv4 or IPv6 Gateway for the master subnet"),
    Flag::bool("ingress", "Create swarm routing-mesh network"),
    Flag::bool("internal", "Restrict external access to the network"),
    Flag::strings("ip-range", "Allocate container ip from a sub-range"),
    Flag::string("ipam-driver", "IP Address Management Driver").default("default"),
    Flag::map("ipam-opt", "Set IPAM driver specific options"),
    Flag::bool("ipv4", "Enable or disable IPv4 address assignment").default("true"),
    Flag::bool("ipv6", "Enable or disable IPv6 address assignment"),
    Flag::list("label", "Set metadata on a network"),
    Flag::map("opt", "Set driver specific options").short('o'),
    Flag::string("scope", "Control the network's scope"),
    Flag::strings("subnet", "Subnet in CIDR format that represents a network segment"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("create", "[OPTIONS] NETWORK", "Create a network")
    .args(Args::Exact(1))
    .flags(FLAGS)
    .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let request = CreateRequest {
        name: m.arg(0).to_owned(),
        driver: m.str("driver").to_owned(),
        scope: m.str("scope").to_owned(),
        enable_ipv4: m.opt("ipv4").map(|_| m.bool("ipv4")),
        enable_ipv6: m.opt("ipv6").map(|_| m.bool("ipv6")),
        ipam: Some(Ipam {
            driver: m.str("ipam-driver").to_owned(),
            options: Some(pairs(&m.list("ipam-opt"))),
            config: Some(address_plan(m)?),
        }),
        internal: m.bool("internal"),
        attachable: m.bool("attachable"),
        ingress: m.bool("ingress"),
        config_only: m.bool("config-only"),
        config_from: m.opt("config-from").map(|name| ConfigReference { network: name.to_owned() }),
        options: Some(pairs(&m.list("opt"))),
        labels: Some(pairs(&m.list("label"))),
        check_duplicate: None,
    };
    let client = cli.client()?;
    let created = cli.block_on(async { Ok(client.network_create(&request).await?) })?;
    if !created.warning.is_empty() {
        print::warn(&format!("WARNING: {}", created.warning));
    }
    print::line(&created.id);
    Ok(())
}

/// `key=value` texts as a map; a key alone has an empty value.
pub(crate) fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (text.clone(), String::new()),
    };
    texts.iter().map(pair).collect()
}

/// Puts ranges, gateways and reserved addresses to the subnets they belong to.
fn address_plan(m: &Matches) -> Result<Vec<IpamConfig>> {
    let subnets = m.list("subnet");
    let (ranges, gateways) = (m.list("ip-range"), m.list("gateway"));
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err(Error::message("every ip-range or gateway must have a corresponding subnet"));
    }
    let mut plan: Vec<IpamConfig> = Vec::new();
    for subnet in &subnets {
        let overlap =
            plan.iter().any(|other| contains(&other.subnet, subnet) || contains(subnet, &other.subnet));
        if overlap {
            return Err(Error::message("multiple overlapping subnet configuration is not supported"));
        }
        plan.push(IpamConfig { subnet: subnet.clone(), ..IpamConfig::default() });
    }
    for range in ranges {
        let config = owner(&mut plan, &range, |config| &mut config.ip_range, "ranges")?;
        config.ip_range = range;
    }
    for gateway in gateways {
        let config = owner(&mut plan, &gateway, |config| &mut config.gateway, "gateways")?;
        config.gateway = gateway;
    }
    for (name, address) in pairs(&m.list("aux-address")) {
        let found = plan.iter_mut().find(|config| contains(&config.subnet, &address));
        let config =
            found.ok_or_else(|| Error::message(format!("no matching subnet for aux-address {address}")))?;
        config.auxiliary_addresses.insert(name, address);
    }
    Ok(plan)
}

/// The subnet that an address or range lies in and that has none of the kind yet.
fn owner<'a>(
    plan: &'a mut [IpamConfig],
    address: &str,
    field: impl Fn(&mut IpamConfig) -> &mut String,
    what: &str,
) -> Result<&'a mut IpamConfig> {
    let Some(config) = plan.iter_mut().find(|config| contains(&config.subnet, address)) else {
        let what = what.trim_end_matches('s');
        return Err(Error::message(format!("no matching subnet for {what} {address}")));
    };
    if !field(config).is_empty() {
        let text =
            format!("cannot configure multiple {what} ({address}) on the same subnet ({})", config.subnet);
        return Err(Error::message(text));
    }
    Ok(config)
}

/// True if an address, or the first address of a range, lies in `subnet`; unreadable ones never do.
fn contains(subnet: &str, address: &str) -> bool {
    let Some((base, prefix)) = bits(subnet) else { return false };
    let Some((address, _)) = bits(address) else { return false };
    match (base, address) {
        (Bits::V4(base), Bits::V4(address)) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            base & mask == address & mask
        }
        (Bits::V6(base), Bits::V6(address)) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            base & mask == address & mask
        }
        _ => false,
    }
}

enum Bits {
    V4(u32),
    V6(u128),
}

fn bits(text: &str) -> Option<(Bits, u32)> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let prefix = |default: u32| if prefix.is_empty() { Some(default) } else { prefix.parse().ok() };
    match address.parse().ok()? {
        std::net::IpAddr::V4(address) => Some((Bits::V4(address.to_bits()), prefix(32)?)),
        std::net::IpAddr::V6(address) => Some((Bits::V6(address.to_bits()), prefix(128)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn addresses_find_their_subnet() {
        assert!(contains("10.77.0.0/16", "10.77.5.0/24"));
        assert!(contains("10.77.0.0/16", "10.77.255.255"));
        assert!(!contains("10.77.0.0/16", "10.78.0.1"));
        assert!(contains("fd00::/64", "fd00::5"));
        assert!(!contains("fd00::/64", "10.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4"));
        assert!(!contains("bad", "1.2.3.4"));
    }
}

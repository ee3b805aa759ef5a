//! Address management: which subnet a network gets, which address an endpoint gets.
//!
//! Pure functions of the user's wishes and what is taken; [`leases`] keeps what was given out.

pub(crate) mod leases;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::record::overlap;
use crate::{Error, NetworkRecord, PoolRecord, PoolSpec, Result};

/// A range subnets are cut from: the range and the prefix length of each subnet.
pub type AddressPool = (Ipv4Net, u8);

/// The pools networks without a subnet of their own are given one from, as Docker predefines them.
pub fn default_pools() -> Vec<AddressPool> {
    let mut pools: Vec<_> = (17..32).map(|b| (Ipv4Net::new_assert([172, b, 0, 0].into(), 16), 16)).collect();
    pools.push((Ipv4Net::new_assert([192, 168, 0, 0].into(), 16), 20));
    pools
}

/// Settles a network's pools. `networks` are the subnets of the other networks; `host` what the host has
/// routes or addresses for, which only matters when the subnet is ours to choose.
///
/// # Errors
/// [`Error::InvalidConfig`], [`Error::PoolOverlap`], [`Error::PoolsExhausted`], [`Error::GatewayInUse`],
/// [`Error::AuxInUse`].
pub(crate) fn settle(
    specs: &[PoolSpec],
    pools: &[AddressPool],
    networks: &[Ipv4Net],
    host: &[IpNet],
) -> Result<Vec<PoolRecord>> {
    let mut findings = Vec::new();
    let checked: Vec<_> = specs.iter().filter_map(|spec| check(spec, &mut findings)).collect();
    if !findings.is_empty() {
        return Err(Error::InvalidConfig(findings));
    }
    let mut taken = networks.to_vec();
    let mut settled = Vec::new();
    for wish in checked {
        if taken.iter().any(|net| overlap(&IpNet::V4(*net), &IpNet::V4(wish.subnet))) {
            return Err(Error::PoolOverlap);
        }
        taken.push(wish.subnet);
        settled.push(reserve(wish)?);
    }
    if settled.is_empty() {
        let subnet = free_subnet(pools, networks, host).ok_or(Error::PoolsExhausted)?;
        settled.push(chosen(subnet));
    }
    Ok(settled)
}

/// A pool for a subnet we chose: the gateway is the first host address.
pub(crate) fn chosen(subnet: Ipv4Net) -> PoolRecord {
    PoolRecord {
        subnet,
        ip_range: None,
        gateway: subnet.hosts().next().unwrap_or(subnet.network()),
        aux: BTreeMap::new(),
        user_subnet: false,
        show_gateway: true,
    }
}

/// The first subnet of the pools that overlaps nothing.
pub(crate) fn free_subnet(pools: &[AddressPool], networks: &[Ipv4Net], host: &[IpNet]) -> Option<Ipv4Net> {
    let free = |candidate: &Ipv4Net| {
        let candidate = IpNet::V4(*candidate);
        !networks.iter().any(|net| overlap(&IpNet::V4(*net), &candidate))
            && !host.iter().any(|net| net.prefix_len() > 0 && overlap(net, &candidate))
    };
    pools.iter().filter_map(|(pool, length)| pool.subnets(*length).ok()).flatten().find(free)
}

/// The address for an endpoint: the wanted one, or the lowest that is free.
///
/// # Errors
/// [`Error::AddressInUse`], [`Error::NoAddress`].
pub(crate) fn choose(
    network: &NetworkRecord,
    pool: &PoolRecord,
    taken: &BTreeMap<Ipv4Addr, String>,
    wanted: Option<Ipv4Addr>,
) -> Result<Ipv4Addr> {
    let free = |ip: &Ipv4Addr| !is_reserved(pool, *ip) && !taken.contains_key(ip);
    if let Some(ip) = wanted {
        let usable = pool.subnet.contains(&ip) && free(&ip);
        return if usable { Ok(ip) } else { Err(Error::AddressInUse(IpAddr::V4(ip))) };
    }
    let range = pool.ip_range.unwrap_or(pool.subnet);
    (range.network().to_bits()..=range.broadcast().to_bits())
        .map(Ipv4Addr::from_bits)
        .find(free)
        .ok_or_else(|| Error::NoAddress { name: network.name.clone(), id: network.id.clone() })
}

fn is_reserved(pool: &PoolRecord, ip: Ipv4Addr) -> bool {
    is_edge(pool.subnet, ip) || ip == pool.gateway || pool.aux.values().any(|aux| *aux == ip)
}

/// Whether the address names the subnet itself or all its hosts; subnets of two addresses have no such.
fn is_edge(subnet: Ipv4Net, ip: Ipv4Addr) -> bool {
    subnet.prefix_len() < 31 && (ip == subnet.network() || ip == subnet.broadcast())
}

/// Checks the addresses a container asks for on a network, as text.
///
/// # Errors
/// [`Error::InvalidEndpoint`] with all findings.
pub fn check_endpoint(network: &NetworkRecord, ipv4: &str, ipv6: &str) -> Result<()> {
    let mut findings = Vec::new();
    let wanted: Vec<_> = [ipv4, ipv6].into_iter().filter(|ip| !ip.is_empty()).collect();
    if !wanted.is_empty() && network.predefined {
        findings.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    for (text, family) in [(ipv4, "IPv4"), (ipv6, "IPv6")] {
        if text.is_empty() {
            continue;
        }
        let ip = text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (family == "IPv4"));
        if ip.is_none() {
            findings.push(format!("invalid {family} address: {text}"));
        }
        if !network.ipam.pools.iter().any(|pool| pool.user_subnet) {
            let only = "user specified IP address is supported only when connecting to networks with user \
                        configured subnets";
            findings.push(only.to_owned());
        } else if !network.ipam.pools.iter().any(|p| ip.is_some_and(|ip| IpNet::V4(p.subnet).contains(&ip))) {
            findings.push(format!("no configured subnet or ip-range contain the IP address {text}"));
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(Error::InvalidEndpoint(findings)) }
}

struct Wish {
    subnet: Ipv4Net,
    range: Option<Ipv4Net>,
    gateway: Option<Ipv4Addr>,
    aux: BTreeMap<String, Ipv4Addr>,
}

/// Reads one pool's texts; what is wrong with them goes to `findings`.
fn check(spec: &PoolSpec, findings: &mut Vec<String>) -> Option<Wish> {
    let mut subnet = None;
    match spec.subnet.parse::<IpNet>() {
        Err(_) => findings.push(format!("invalid subnet {}: invalid CIDR block notation", spec.subnet)),
        Ok(IpNet::V6(_)) => {
            findings.push(format!("invalid subnet {}: IPv6 subnets are not supported", spec.subnet));
        }
        Ok(net) if net != net.trunc() => {
            findings.push(format!("invalid subnet {}: it should be {}", spec.subnet, net.trunc()));
        }
        Ok(IpNet::V4(net)) => subnet = Some(net),
    }
    let subnet = subnet?;
    let range = check_range(&spec.ip_range, subnet, findings);
    let gateway = check_address("gateway", &spec.gateway, &spec.gateway, subnet, findings);
    let aux = spec.aux.iter().filter_map(|(name, ip)| {
        Some((name.clone(), check_address("auxiliary address", name, ip, subnet, findings)?))
    });
    let aux = aux.collect();
    Some(Wish { subnet, range, gateway, aux })
}

fn check_range(text: &str, subnet: Ipv4Net, findings: &mut Vec<String>) -> Option<Ipv4Net> {
    if text.is_empty() {
        return None;
    }
    let mut finding = |what: String| findings.push(format!("invalid ip-range {text}: {what}"));
    let Ok(range) = text.parse::<Ipv4Net>() else {
        finding("invalid CIDR block notation".to_owned());
        return None;
    };
    if range.prefix_len() < subnet.prefix_len() {
        finding(format!("CIDR block is bigger than its parent subnet {subnet}"));
    }
    if range != range.trunc() {
        finding(format!("it should be {}", range.trunc()));
    }
    if !overlap(&IpNet::V4(subnet), &IpNet::V4(range)) {
        finding(format!("parent subnet {subnet} doesn't contain ip-range"));
    }
    Some(range)
}

fn check_address(
    what: &str,
    label: &str,
    text: &str,
    subnet: Ipv4Net,
    findings: &mut Vec<String>,
) -> Option<Ipv4Addr> {
    if text.is_empty() {
        return None;
    }
    let Ok(ip) = text.parse::<Ipv4Addr>() else {
        findings.push(format!("invalid {what} {label}: invalid address"));
        return None;
    };
    if !subnet.contains(&ip) {
        findings.push(format!("invalid {what} {label}: parent subnet {subnet} doesn't contain this address"));
    }
    Some(ip)
}

/// Reserves gateway and auxiliary addresses of a user's subnet.
fn reserve(wish: Wish) -> Result<PoolRecord> {
    // compat: without a gateway the first address of the ip-range, not of the subnet, becomes the gateway.
    let range = wish.range.unwrap_or(wish.subnet);
    let first = || {
        let mut candidates =
            (range.network().to_bits()..=range.broadcast().to_bits()).map(Ipv4Addr::from_bits);
        candidates.find(|ip| !is_edge(wish.subnet, *ip)).unwrap_or(range.network())
    };
    let gateway = wish.gateway.unwrap_or_else(first);
    if is_edge(wish.subnet, gateway) {
        return Err(Error::GatewayInUse(gateway));
    }
    let mut seen = vec![gateway];
    for (name, ip) in &wish.aux {
        if is_edge(wish.subnet, *ip) || seen.contains(ip) {
            return Err(Error::AuxInUse { name: name.clone(), ip: *ip });
        }
        seen.push(*ip);
    }
    Ok(PoolRecord {
        subnet: wish.subnet,
        ip_range: wish.range,
        gateway,
        aux: wish.aux,
        user_subnet: true,
        show_gateway: wish.gateway.is_some(),
    })
}

#[cfg(test)]
mod tests;

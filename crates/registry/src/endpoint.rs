//! Which URLs stand for a registry's name.
//!
//! A registry may have mirrors before it. A registry that may be insecure (loopback, or configured) is tried by HTTPS without
//! verification first, then by plain HTTP; any other by verified HTTPS only.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;

/// Docker Hub's name in references.
pub(crate) const HUB: &str = "docker.io";
const HUB_HOST: &str = "registry-1.docker.io";

/// One place to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https://host:port`, without a slash at the end; a mirror may have a path.
    pub(crate) base: String,
    /// Host with its port, for certificate folders.
    pub(crate) host: String,
    /// Whether certificates are verified.
    pub(crate) verify: bool,
    /// Whether the host is this machine: proxies do not apply.
    pub(crate) loopback: bool,
    /// Whether it stands in for the registry, so that what it lacks is asked for there.
    pub(crate) mirror: bool,
}

impl Endpoint {
    /// Whether nobody on the way can read or change what is said.
    pub(crate) fn is_private(&self) -> bool {
        self.verify && self.base.starts_with("https://")
    }

    /// Whether the registry may also be spoken to without TLS.
    pub(crate) fn may_be_plain(&self) -> bool {
        !self.verify && !self.mirror
    }
}

/// Registries that may be spoken to without verification.
#[derive(Debug, Clone, Default)]
pub(crate) struct Insecure {
    hosts: Vec<String>,
    networks: Vec<IpNet>,
}

impl Insecure {
    /// Reads `insecure-registries`: hosts with an optional port, or networks. Loopback is always among them.
    pub(crate) fn new(entries: &[String]) -> Self {
        let loopback =
            [IpNet::new_assert(IpAddr::from([127, 0, 0, 0]), 8), IpNet::from(IpAddr::from(V6_LOOPBACK))];
        let mut insecure = Self { hosts: Vec::new(), networks: loopback.to_vec() };
        for entry in entries {
            match entry.parse::<IpNet>() {
                Ok(network) => insecure.networks.push(network),
                Err(_) => insecure.hosts.push(entry.trim_end_matches('/').to_owned()),
            }
        }
        insecure
    }

    fn contains(&self, host: &str, addresses: &[IpAddr]) -> bool {
        self.hosts.iter().any(|h| h == host)
            || addresses.iter().any(|address| self.networks.iter().any(|network| network.contains(address)))
    }
}

const V6_LOOPBACK: [u16; 8] = [0, 0, 0, 0, 0, 0, 0, 1];

/// The endpoints of `domain` (a reference's), in the order to try them.
pub(crate) async fn endpoints(domain: &str, mirrors: &[String], insecure: &Insecure) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for mirror in mirrors {
        all.extend(mirror_endpoint(mirror, insecure).await);
    }
    if domain == HUB {
        all.push(Endpoint {
            base: format!("https://{HUB_HOST}"),
            host: HUB_HOST.to_owned(),
            verify: true,
            loopback: false,
            mirror: false,
        });
        return all;
    }
    let addresses = addresses(domain).await;
    let loopback = is_loopback(&addresses);
    let verify = !insecure.contains(domain, &addresses);
    let with = |scheme: &str| Endpoint {
        base: format!("{scheme}://{domain}"),
        host: domain.to_owned(),
        verify,
        loopback,
        mirror: false,
    };
    all.push(with("https"));
    if !verify {
        all.push(with("http"));
    }
    all
}

/// A mirror is a URL; its scheme is what the administrator wrote.
async fn mirror_endpoint(mirror: &str, insecure: &Insecure) -> Option<Endpoint> {
    let base = mirror.trim_end_matches('/');
    let (_, rest) = base.split_once("://")?;
    let host = rest.split('/').next()?;
    let addresses = addresses(host).await;
    Some(Endpoint {
        base: base.to_owned(),
        host: host.to_owned(),
        verify: !insecure.contains(host, &addresses),
        loopback: is_loopback(&addresses),
        mirror: true,
    })
}

pub(crate) fn is_loopback(addresses: &[IpAddr]) -> bool {
    !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback)
}

/// Whether somebody else's server sends a client to an address of the link only. Clouds keep what a machine knows of
/// itself, secrets included, at one: no registry has business there.
pub(crate) fn is_lured(from: &Url, to: &Url) -> bool {
    let link_local = match to.host_str().map(|host| host.trim_matches(['[', ']']).parse()) {
        Some(Ok(IpAddr::V4(address))) => address.is_link_local(),
        Some(Ok(IpAddr::V6(address))) => {
            address.is_unicast_link_local() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_link_local())
        }
        _ => false,
    };
    link_local && from.host() != to.host()
}

/// The addresses of `host[:port]`; none when the name does not resolve. Only needed to tell insecure registries, so a
/// resolver that does not answer is not waited for long.
pub(crate) async fn addresses(host: &str) -> Vec<IpAddr> {
    let bare = bare_host(host);
    if let Ok(address) = bare.parse() {
        return vec![address];
    }
    let lookup = tokio::net::lookup_host((bare.to_owned(), 0));
    match tokio::time::timeout(std::time::Duration::from_secs(5), lookup).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        _ => Vec::new(),
    }
}

/// `host` without its port and without the brackets of an IPv6 address.
pub(crate) fn bare_host(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bases(domain: &str, mirrors: &[&str], insecure: &[&str]) -> Vec<(String, bool)> {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (mirrors, insecure) = (strings(mirrors), Insecure::new(&strings(insecure)));
        let found = runtime.block_on(endpoints(domain, &mirrors, &insecure));
        found.into_iter().map(|e| (e.base, e.verify)).collect()
    }

    fn list(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
        expected.iter().map(|(base, verify)| ((*base).to_owned(), *verify)).collect()
    }

    #[test]
    fn plain_http_only_where_allowed() {
        assert_eq!(
            bases("127.0.0.1:5000", &[], &[]),
            list(&[("https://127.0.0.1:5000", false), ("http://127.0.0.1:5000", false)])
        );
        assert_eq!(bases("[::1]:5000", &[], &[]).len(), 2);
        assert_eq!(bases("192.0.2.1:5000", &[], &[]), list(&[("https://192.0.2.1:5000", true)]));
        assert_eq!(bases("192.0.2.1:5000", &[], &["192.0.2.0/24"]).len(), 2);
        assert_eq!(bases("192.0.2.1:5000", &[], &["192.0.2.1:5000"]).len(), 2);
        assert_eq!(bases("192.0.2.1:5001", &[], &["192.0.2.1:5000"]).len(), 1);
    }

    #[test]
    fn nobody_is_lured_to_the_link() {
        let lured = |from: &str, to: &str| is_lured(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
        for to in ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"] {
            assert!(lured("https://r.example/v2/", to), "{to}");
            assert!(!lured(to, to), "{to}");
        }
        assert!(!lured("https://r.example/v2/", "https://192.0.2.1/"));
    }

    #[test]
    fn mirrors_come_first() {
        let mirrors = ["http://127.0.0.1:9/prefix/"];
        let mirror = ("http://127.0.0.1:9/prefix", false);
        assert_eq!(
            bases("docker.io", &mirrors, &[]),
            list(&[mirror, ("https://registry-1.docker.io", true)])
        );
        assert_eq!(bases("192.0.2.1", &mirrors, &[]), list(&[mirror, ("https://192.0.2.1", true)]));
    }
}

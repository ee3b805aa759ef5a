//! Choosing the host ports of published container ports, and the sockets that hold them.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::{Error, PortBinding, PortRequest, Protocol, Result};

/// A container port and the host addresses that are to get the same host port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    container_port: u16,
    protocol: Protocol,
    host_ips: Vec<IpAddr>,
    host_ports: (u16, u16),
}

/// A host port in use, and the socket that keeps other programs from it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) binding: PortBinding,
    /// Listening for TCP, bound for UDP, absent for SCTP.
    pub(crate) socket: Option<OwnedFd>,
}

/// The host ports this engine has published.
#[derive(Debug)]
pub(crate) struct Ports {
    claimed: BTreeSet<(Protocol, u16, IpAddr)>,
    /// Next ephemeral port to try.
    cursor: HashMap<Protocol, u16>,
    ephemeral: (u16, u16),
}

impl Ports {
    pub(crate) fn new() -> Ports {
        Ports { claimed: BTreeSet::new(), cursor: HashMap::new(), ephemeral: ephemeral_range() }
    }

    /// Chooses and holds host ports for all requests, or none of them. Bindings come in request order.
    ///
    /// # Errors
    /// [`Error::PortAllocated`], [`Error::PortsExhausted`], [`Error::BindPort`].
    pub(crate) fn hold(
        &mut self,
        requests: &[PortRequest],
        default_ip: IpAddr,
        target: Ipv4Addr,
    ) -> Result<Vec<Held>> {
        let groups = expand(requests, default_ip, has_ipv6());
        // Fixed ports first, so that no ephemeral choice takes one of them.
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|&i| match groups[i].host_ports {
            (0, _) => 2,
            (first, last) => u8::from(first != last),
        });
        let mut held: Vec<Vec<Held>> = groups.iter().map(|_| Vec::new()).collect();
        for i in order {
            match self.hold_group(&groups[i], target) {
                Ok(sockets) => held[i] = sockets,
                Err(e) => {
                    held.iter().flatten().for_each(|h| self.release(&h.binding));
                    return Err(e);
                }
            }
        }
        Ok(held.into_iter().flatten().collect())
    }

    /// Holds ports that were chosen before, after a restart of the engine. A port that cannot be held any more
    /// stays published.
    pub(crate) fn hold_again(&mut self, bindings: &[PortBinding], target: Ipv4Addr) -> Vec<Held> {
        let hold = |binding: &PortBinding| {
            self.claimed.insert(claim(binding));
            let socket = bind(binding, target)
                .inspect_err(|error| tracing::warn!(%error, "a published port is not held"))
                .ok()
                .flatten();
            Held { binding: *binding, socket }
        };
        bindings.iter().map(hold).collect()
    }

    /// Forgets a port.
    pub(crate) fn release(&mut self, binding: &PortBinding) {
        self.claimed.remove(&claim(binding));
    }

    fn hold_group(&mut self, group: &Group, target: Ipv4Addr) -> Result<Vec<Held>> {
        let (first, last) = group.host_ports;
        if first != 0 && first == last {
            return self.hold_port(group, first, target);
        }
        let mut refused = None;
        for port in self.candidates(group) {
            match self.hold_port(group, port, target) {
                Ok(held) => {
                    if first == 0 {
                        self.cursor.insert(group.protocol, port.checked_add(1).unwrap_or(self.ephemeral.0));
                    }
                    return Ok(held);
                }
                Err(Error::PortAllocated { .. }) => {}
                // A port that another program holds is passed over; any other refusal would meet them all.
                Err(e @ Error::BindPort { .. }) if is_in_use(&e) => refused = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(refused.unwrap_or(Error::PortsExhausted))
    }

    fn hold_port(&mut self, group: &Group, port: u16, target: Ipv4Addr) -> Result<Vec<Held>> {
        let binding = |&host_ip: &IpAddr| PortBinding {
            container_port: group.container_port,
            protocol: group.protocol,
            host_ip,
            host_port: port,
        };
        let bindings: Vec<_> = group.host_ips.iter().map(binding).collect();
        if let Some(taken) = bindings.iter().find(|b| self.is_claimed(b)) {
            return Err(Error::PortAllocated { ip: taken.host_ip, port });
        }
        let hold = |binding: PortBinding| Ok(Held { binding, socket: bind(&binding, target)? });
        let held = bindings.into_iter().map(hold).collect::<Result<Vec<_>>>()?;
        self.claimed.extend(held.iter().map(|h| claim(&h.binding)));
        Ok(held)
    }

    /// Ports to try: the wanted range from its start, or the ephemeral range from where the last search ended.
    fn candidates(&self, group: &Group) -> impl Iterator<Item = u16> + use<> {
        let (first, last, start) = match group.host_ports {
            (0, _) => {
                let (first, last) = self.ephemeral;
                let cursor = self.cursor.get(&group.protocol).copied().unwrap_or(first);
                (first, last, cursor.clamp(first, last))
            }
            (first, last) => (first, last, first),
        };
        (start..=last).chain(first..start)
    }

    fn is_claimed(&self, binding: &PortBinding) -> bool {
        let same_port = (binding.protocol, binding.host_port, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
            ..=(binding.protocol, binding.host_port, IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)));
        self.claimed.range(same_port).any(|(_, _, ip)| {
            let host_ip = binding.host_ip;
            ip.is_ipv4() == host_ip.is_ipv4()
                && (*ip == host_ip || ip.is_unspecified() || host_ip.is_unspecified())
        })
    }
}

fn claim(binding: &PortBinding) -> (Protocol, u16, IpAddr) {
    (binding.protocol, binding.host_port, binding.host_ip)
}

/// Requests without a host address stand for all addresses of both families.
fn expand(requests: &[PortRequest], default_ip: IpAddr, ipv6: bool) -> Vec<Group> {
    let any4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let any6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let addresses = |request: &PortRequest| match request.host_ip {
        Some(ip) => vec![ip],
        None if default_ip == any4 && ipv6 => vec![any4, any6],
        None => vec![default_ip],
    };
    let group = |request: &PortRequest| Group {
        container_port: request.container_port,
        protocol: request.protocol,
        host_ips: addresses(request),
        host_ports: request.host_ports,
    };
    requests.iter().map(group).collect()
}

/// The socket that holds a host port.
///
/// A TCP socket has to listen: with address reuse, which spares us the wait after a server that was just
/// stopped, merely bound sockets do not exclude one another.
fn bind(binding: &PortBinding, target: Ipv4Addr) -> Result<Option<OwnedFd>> {
    let address = SocketAddr::new(binding.host_ip, binding.host_port);
    let open = || -> io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = if binding.protocol == Protocol::Udp { SocketType::DGRAM } else { SocketType::STREAM };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        if kind == SocketType::STREAM {
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)?;
        if kind == SocketType::STREAM {
            rustix::net::listen(&socket, 1024)?;
        }
        Ok(socket)
    };
    match binding.protocol {
        Protocol::Sctp => Ok(None),
        _ => open().map(Some).map_err(|e| Error::bind(binding, target, e)),
    }
}

fn is_in_use(error: &Error) -> bool {
    matches!(error, Error::BindPort { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
}

/// First and last port the kernel gives out by itself.
fn ephemeral_range() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = text.split_whitespace().filter_map(|p| p.parse().ok());
    match (ports.next(), ports.next()) {
        (Some(first), Some(last)) if first > 0 && first <= last => (first, last),
        _ => (32768, 60999),
    }
}

/// Whether the host has IPv6 at all.
fn has_ipv6() -> bool {
    std::fs::read("/proc/thread-self/net/if_inet6").is_ok_and(|text| !text.is_empty())
}

/// `-P`: a request for an ephemeral host port for each exposed port that has no binding of its own.
pub fn publish_all(exposed: &[(u16, Protocol)], bound: &[PortRequest]) -> Vec<PortRequest> {
    let is_bound = |port: u16, protocol| {
        bound.iter().any(|request| request.container_port == port && request.protocol == protocol)
    };
    let wanted = exposed.iter().filter(|(port, protocol)| !is_bound(*port, *protocol));
    let request = |&(container_port, protocol): &(u16, Protocol)| PortRequest {
        container_port,
        protocol,
        host_ip: None,
        host_ports: (0, 0),
    };
    wanted.map(request).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn request(host_ip: Option<&str>, host_ports: (u16, u16), container_port: u16) -> PortRequest {
        let host_ip = host_ip.map(|ip| ip.parse().unwrap());
        PortRequest { container_port, protocol: Protocol::Tcp, host_ip, host_ports }
    }

    fn hold(ports: &mut Ports, requests: &[PortRequest]) -> Result<(Vec<String>, Vec<Held>), String> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let held = ports.hold(requests, any, Ipv4Addr::new(172, 17, 0, 2)).map_err(|e| e.to_string())?;
        let show = |h: &Held| {
            format!(
                "{} {}",
                SocketAddr::new(h.binding.host_ip, h.binding.host_port),
                h.binding.container_port
            )
        };
        Ok((held.iter().map(show).collect(), held))
    }

    /// Two neighbouring ports nobody uses.
    fn free_ports() -> (u16, u16) {
        loop {
            let first = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
            let pair = [first, first.saturating_add(1)];
            if first < u16::MAX && pair.iter().all(|p| TcpListener::bind(("0.0.0.0", *p)).is_ok()) {
                return (pair[0], pair[1]);
            }
        }
    }

    #[test]
    fn both_families_and_order() {
        let any4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let requests = [request(None, (0, 0), 80), request(Some("127.0.0.1"), (7, 7), 81)];
        let groups = expand(&requests, any4, true);
        assert_eq!(groups[0].host_ips, [any4, IpAddr::V6(Ipv6Addr::UNSPECIFIED)]);
        assert_eq!(groups[1].host_ips, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(expand(&requests, any4, false)[0].host_ips, [any4]);
        let only = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(expand(&requests, only, true)[0].host_ips, [only]);
    }

    #[test]
    fn conflicts() {
        let (first, second) = free_ports();
        let mut ports = Ports::new();
        let (shown, held) = hold(&mut ports, &[request(Some("127.0.0.1"), (first, first), 80)]).unwrap();
        assert_eq!(shown, [format!("127.0.0.1:{first} 80")]);
        let again = hold(&mut ports, &[request(Some("0.0.0.0"), (first, first), 80)]).unwrap_err();
        assert_eq!(again, format!("Bind for 0.0.0.0:{first} failed: port is already allocated"));
        let (shown, _more) = hold(&mut ports, &[request(Some("127.0.0.1"), (first, second), 80)]).unwrap();
        assert_eq!(shown, [format!("127.0.0.1:{second} 80")]);
        let full = hold(&mut ports, &[request(Some("127.0.0.1"), (first, second), 80)]).unwrap_err();
        assert_eq!(full, "all ports are allocated");
        ports.release(&held[0].binding);
        drop(held);
        hold(&mut ports, &[request(Some("127.0.0.1"), (first, first), 80)]).unwrap();
    }

    #[test]
    fn foreign_holders() {
        let (first, second) = free_ports();
        let foreign = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let mut ports = Ports::new();
        let refused = hold(&mut ports, &[request(Some("0.0.0.0"), (first, first), 80)]).unwrap_err();
        let expected =
            format!("failed to bind host port for 0.0.0.0:{first}:172.17.0.2:80/tcp: address already in use");
        assert_eq!(refused, expected);
        let (shown, _held) = hold(&mut ports, &[request(Some("127.0.0.1"), (first, second), 80)]).unwrap();
        assert_eq!(shown, [format!("127.0.0.1:{second} 80")]);
        let elsewhere = hold(&mut ports, &[request(Some("192.0.2.250"), (first, first), 80)]).unwrap_err();
        assert!(elsewhere.ends_with("cannot assign requested address"), "{elsewhere}");
        drop(foreign);
        // A failed publish keeps nothing.
        let both =
            [request(Some("127.0.0.1"), (first, first), 1), request(Some("127.0.0.1"), (second, second), 2)];
        hold(&mut ports, &both).unwrap_err();
        TcpListener::bind(("127.0.0.1", first)).unwrap();
    }

    #[test]
    fn ephemeral_ports_increase() {
        let mut ports = Ports::new();
        let (_, a) = hold(&mut ports, &[request(Some("127.0.0.1"), (0, 0), 80)]).unwrap();
        let (_, b) = hold(&mut ports, &[request(Some("127.0.0.1"), (0, 0), 80)]).unwrap();
        assert!(b[0].binding.host_port > a[0].binding.host_port);
        assert!(a[0].binding.host_port >= ephemeral_range().0);
    }

    #[test]
    fn publish_all_skips_bound_ports() {
        let exposed = [(80, Protocol::Tcp), (53, Protocol::Udp), (81, Protocol::Tcp)];
        let found = publish_all(&exposed, &[request(None, (8080, 8080), 80)]);
        let shown: Vec<_> = found.iter().map(|r| format!("{}/{}", r.container_port, r.protocol)).collect();
        assert_eq!(shown, ["53/udp", "81/tcp"]);
    }
}

//! Endpoints: one container's place in one network, and its published ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Driver, Error};

/// What a container asks of a network.
#[derive(Debug, Clone, Default)]
pub struct EndpointSpec {
    /// Full container id.
    pub container_id: String,
    /// Container name without the slash.
    pub container_name: String,
    /// A fixed address instead of the lowest free one.
    pub ip: Option<Ipv4Addr>,
    /// A fixed hardware address instead of a random one.
    pub mac: Option<MacAddr>,
    /// Names other containers of the network may look up: name, aliases, short id, hostname.
    pub names: Vec<String>,
    /// Interface name inside the container; empty means `eth0`. See [`crate::free_interface_name`].
    pub interface: String,
    /// The endpoint of highest priority provides the default route.
    pub gw_priority: i64,
}

/// A container's endpoint as it is set up; a record the engine keeps with the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointState {
    /// 64 hex digits, new for each start.
    pub id: String,
    /// Network id.
    pub network_id: String,
    /// Network name.
    pub network: String,
    /// The network's driver; the fields below are empty for `host` and `null`.
    pub driver: Driver,
    /// Full container id.
    pub container_id: String,
    /// Container name at allocation, for messages.
    pub container_name: String,
    /// Address in the network.
    pub ip: Option<Ipv4Addr>,
    /// Prefix length of the subnet.
    pub prefix: u8,
    /// The network's gateway; `None` on internal networks.
    pub gateway: Option<Ipv4Addr>,
    /// Hardware address.
    pub mac: Option<MacAddr>,
    /// Interface inside the container, `eth0`.
    pub interface: String,
    /// Interface on the host, named after the endpoint id.
    pub veth: String,
    /// Bridge the host interface belongs to.
    pub bridge: String,
    /// MTU of both ends; 0 leaves the kernel's default.
    pub mtu: u32,
    /// Whether other endpoints of the bridge must stay unreachable (`enable_icc=false`).
    pub isolated: bool,
    /// Names served by the embedded DNS on user-defined networks.
    pub names: Vec<String>,
    /// See [`EndpointSpec::gw_priority`].
    pub gw_priority: i64,
    /// Whether the container's default route leads to this endpoint's gateway. True after allocation; with
    /// several endpoints [`choose_default_route`] settles it.
    pub default_route: bool,
    /// Published ports with the host ports that were chosen.
    pub ports: Vec<PortBinding>,
}

/// Settles which of a container's endpoints provides the default route: the one of highest priority with a
/// gateway, the first by network name among equals. Returns its position. Ports are published there.
pub fn choose_default_route(endpoints: &mut [EndpointState]) -> Option<usize> {
    let best = (0..endpoints.len()).filter(|&i| endpoints[i].gateway.is_some()).min_by(|&a, &b| {
        let key = |i: usize| (std::cmp::Reverse(endpoints[i].gw_priority), &endpoints[i].network);
        key(a).cmp(&key(b))
    });
    for (i, endpoint) in endpoints.iter_mut().enumerate() {
        endpoint.default_route = Some(i) == best;
    }
    best
}

/// The first of `eth0`, `eth1`, … that none of the endpoints uses.
pub fn free_interface_name(endpoints: &[EndpointState]) -> String {
    let mut names = (0u32..).map(|i| format!("eth{i}"));
    names.find(|name| endpoints.iter().all(|e| e.interface != *name)).unwrap_or_default()
}

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP: forwarded, but no socket holds the host port.
    Sctp,
}

impl Protocol {
    /// IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        match s {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            other => Err(Error::InvalidOption(format!("invalid proto: {other}"))),
        }
    }
}

/// One `-p`: a container port and where on the host it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRequest {
    /// Port inside the container.
    pub container_port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Host address; `None` means the network's default binding, on a default network all of IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// First and last host port to choose from; `(0, 0)` picks an ephemeral port.
    pub host_ports: (u16, u16),
}

/// One host address and port that leads to a container port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// Port inside the container.
    pub container_port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Host address; unspecified means every address of the family.
    pub host_ip: IpAddr,
    /// Host port.
    pub host_port: u16,
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// A random locally administered unicast address, as Docker gives out since 28.
    pub fn random() -> MacAddr {
        let mut bytes: [u8; 6] = crate::random_bytes();
        bytes[0] = (bytes[0] & 0xfe) | 0x02;
        MacAddr(bytes)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidOption(format!("{s} is not a valid mac address"));
        let mut bytes = [0; 6];
        let mut parts = s.split([':', '-']);
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))
                .ok_or_else(invalid)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        if parts.next().is_some() { Err(invalid()) } else { Ok(MacAddr(bytes)) }
    }
}

impl Serialize for MacAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn default_route_and_interface_names() {
        let endpoint = |network: &str, gateway: Option<&str>, gw_priority, interface: &str| EndpointState {
            network: network.into(),
            gateway: gateway.map(|g| g.parse().unwrap()),
            gw_priority,
            interface: interface.into(),
            ..EndpointState::default()
        };
        let mut endpoints = [
            endpoint("b", Some("10.1.0.1"), 0, "eth0"),
            endpoint("a", Some("10.2.0.1"), 0, "eth2"),
            endpoint("internal", None, 9, "eth3"),
        ];
        assert_eq!(choose_default_route(&mut endpoints), Some(1));
        assert_eq!(endpoints.each_ref().map(|e| e.default_route), [false, true, false]);
        endpoints[0].gw_priority = 1;
        assert_eq!(choose_default_route(&mut endpoints), Some(0));
        assert_eq!(choose_default_route(&mut endpoints[2..]), None);
        assert_eq!(free_interface_name(&endpoints), "eth1");
        assert_eq!(free_interface_name(&[]), "eth0");
    }

    #[test]
    fn mac_addresses() {
        let mac: MacAddr = "02:42:ac:11:00:99".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:99");
        assert_eq!("02-42-AC-11-00-99".parse::<MacAddr>().unwrap(), mac);
        for bad in ["zz", "02:42:ac:11:00", "02:42:ac:11:00:99:01", "2:42:ac:11:00:99", "02:42:ac:11:00:+9"] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
        let random = MacAddr::random().0[0];
        assert_eq!(random & 0x03, 0x02);
    }
}

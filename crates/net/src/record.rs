//! The network record and the meaning of its driver options.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const MTU: &str = "com.docker.network.driver.mtu";

/// Which driver serves a network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A Linux bridge with addresses of its own, masqueraded towards the outside.
    #[default]
    Bridge,
    /// The network namespace of the host.
    Host,
    /// A namespace with nothing but a loopback interface.
    Null,
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Driver::Bridge => "bridge",
            Driver::Host => "host",
            Driver::Null => "null",
        })
    }
}

impl FromStr for Driver {
    type Err = Error;

    /// The empty name is the bridge driver.
    fn from_str(s: &str) -> Result<Self> {
        match s {
            "" | "bridge" | "default" => Ok(Driver::Bridge),
            "host" => Ok(Driver::Host),
            "null" | "none" => Ok(Driver::Null),
            other => Err(Error::UnknownDriver(other.to_owned())),
        }
    }
}

/// What a user asks for with `network create`.
#[derive(Debug, Clone, Default)]
pub struct NetworkSpec {
    /// Network name.
    pub name: String,
    /// Driver name; empty means bridge.
    pub driver: String,
    /// Address configuration as it came in.
    pub ipam: Vec<PoolSpec>,
    /// Options given for the address management driver.
    pub ipam_options: Option<BTreeMap<String, String>>,
    /// No way out of the network and none in.
    pub internal: bool,
    /// Kept and echoed; means something only in a swarm.
    pub attachable: bool,
    /// IPv6 was asked for.
    pub enable_ipv6: bool,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// User labels.
    pub labels: BTreeMap<String, String>,
}

/// One entry of `IPAM.Config`, unchecked text as the API carries it; empty means not given.
#[derive(Debug, Clone, Default)]
pub struct PoolSpec {
    /// Subnet in CIDR form.
    pub subnet: String,
    /// Part of the subnet that addresses are given from.
    pub ip_range: String,
    /// Gateway address.
    pub gateway: String,
    /// Addresses that are never given out, by name.
    pub aux: BTreeMap<String, String>,
}

/// A network as it is kept in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkRecord {
    /// 64 hex digits.
    pub id: String,
    /// Name, unique.
    pub name: String,
    /// Driver.
    pub driver: Driver,
    /// When it was made.
    pub created: Timestamp,
    /// Address configuration.
    pub ipam: IpamRecord,
    /// No way out of the network and none in.
    pub internal: bool,
    /// Echoed only.
    pub attachable: bool,
    /// Driver options as given.
    pub options: BTreeMap<String, String>,
    /// User labels.
    pub labels: BTreeMap<String, String>,
    /// Name of the bridge interface; empty for host and null.
    pub bridge: String,
    /// The network exists always and cannot be removed.
    pub predefined: bool,
}

impl Default for NetworkRecord {
    fn default() -> Self {
        NetworkRecord {
            id: String::new(),
            name: String::new(),
            driver: Driver::Bridge,
            created: Timestamp::UNIX_EPOCH,
            ipam: IpamRecord::default(),
            internal: false,
            attachable: false,
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
            bridge: String::new(),
            predefined: false,
        }
    }
}

/// Address configuration of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IpamRecord {
    /// Options as given; `None` prints as null.
    pub options: Option<BTreeMap<String, String>>,
    /// The pools; one IPv4 pool for bridge networks, none for host and null.
    pub pools: Vec<PoolRecord>,
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRecord {
    /// The subnet.
    pub subnet: Ipv4Net,
    /// Part of the subnet that addresses are given from.
    #[serde(default)]
    pub ip_range: Option<Ipv4Net>,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// Reserved addresses by name.
    #[serde(default)]
    pub aux: BTreeMap<String, Ipv4Addr>,
    /// The subnet was given by the user, so endpoints may ask for fixed addresses.
    #[serde(default)]
    pub user_subnet: bool,
    /// The gateway is shown in `network inspect`.
    // compat: Docker shows no gateway when the user gave a subnet without one.
    #[serde(default)]
    pub show_gateway: bool,
}

impl NetworkRecord {
    /// The IPv4 pool of a bridge network.
    pub fn pool(&self) -> Option<&PoolRecord> {
        self.ipam.pools.first()
    }

    /// Whether this is the default bridge: no embedded DNS, no names, no fixed addresses.
    pub fn is_default_bridge(&self) -> bool {
        self.options.get(DEFAULT_BRIDGE).is_some_and(|v| v == "true")
    }

    /// Whether containers of this network look names up at 127.0.0.11.
    pub fn has_dns(&self) -> bool {
        self.driver == Driver::Bridge && !self.is_default_bridge()
    }

    /// Whether containers of the bridge may reach one another.
    pub(crate) fn icc(&self) -> bool {
        self.flag(ICC, true)
    }

    /// Whether outgoing connections get the host's address.
    pub(crate) fn masquerade(&self) -> bool {
        !self.internal && self.flag(MASQUERADE, true)
    }

    /// MTU of the network's links; 0 leaves the kernel's default.
    pub(crate) fn mtu(&self) -> u32 {
        self.options.get(MTU).and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Host address used for a port published without one; unspecified stands for both families.
    pub(crate) fn host_binding(&self) -> IpAddr {
        let given = self.options.get(HOST_BINDING).and_then(|v| v.parse().ok());
        given.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.options.get(key).and_then(|v| parse_bool(v)).unwrap_or(default)
    }
}

/// Checks the driver options of a bridge network and returns the interface name they ask for.
///
/// # Errors
/// [`Error::InvalidOption`] in Docker's words, [`Error::InterfaceNameTooLong`].
pub(crate) fn check_options(options: &BTreeMap<String, String>) -> Result<Option<&str>> {
    for key in [ICC, MASQUERADE] {
        if let Some(value) = options.get(key)
            && parse_bool(value).is_none()
        {
            let reason = format!("strconv.ParseBool: parsing {value:?}: invalid syntax");
            return Err(Error::InvalidOption(format!("failed to parse {key} value: {value} ({reason})")));
        }
    }
    if let Some(value) = options.get(MTU)
        && value.parse::<u32>().is_err()
    {
        let reason = format!("strconv.Atoi: parsing {value:?}: invalid syntax");
        return Err(Error::InvalidOption(format!("failed to parse {MTU} value: {value} ({reason})")));
    }
    if let Some(value) = options.get(HOST_BINDING)
        && value.parse::<IpAddr>().is_err()
    {
        let reason = "invalid ip address";
        return Err(Error::InvalidOption(format!(
            "failed to parse {HOST_BINDING} value: {value} ({reason})"
        )));
    }
    match options.get(BRIDGE_NAME).map(String::as_str) {
        Some(name) if name.len() > 15 => Err(Error::InterfaceNameTooLong(name.to_owned())),
        name => Ok(name.filter(|n| !n.is_empty())),
    }
}

/// Options Docker shows for its default bridge.
pub(crate) fn default_bridge_options(bridge: &str, mtu: u32) -> BTreeMap<String, String> {
    let mtu = if mtu == 0 { 1500 } else { mtu };
    let options = [
        (DEFAULT_BRIDGE, "true".to_owned()),
        (ICC, "true".to_owned()),
        (MASQUERADE, "true".to_owned()),
        (HOST_BINDING, "0.0.0.0".to_owned()),
        (BRIDGE_NAME, bridge.to_owned()),
        (MTU, mtu.to_string()),
    ];
    options.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether two subnets share an address.
pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

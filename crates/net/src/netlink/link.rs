//! Links, addresses, routes and neighbours, as far as the bridge driver needs them.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::{IpNet, Ipv4Net};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage, State,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Socket;
use crate::MacAddr;

/// A link as a dump shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: String,
    pub(crate) kind: String,
    pub(crate) master: Option<u32>,
    pub(crate) mac: Option<MacAddr>,
    /// The kernel's link watch has seen both ends up: a bridge port forwards from then on.
    pub(crate) operational: bool,
}

/// Settings of a bridge port that differ from the kernel's defaults.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PortSetting {
    /// Exchanges no frames with other isolated ports.
    Isolated,
    /// Frames may leave by the port they came from.
    Hairpin,
}

/// Both ends of a veth pair to make.
pub(crate) struct VethPair<'a> {
    pub(crate) name: &'a str,
    pub(crate) bridge: u32,
    pub(crate) mtu: u32,
    pub(crate) peer_name: &'a str,
    pub(crate) peer_mac: MacAddr,
    pub(crate) peer_netns: BorrowedFd<'a>,
}

impl Socket {
    /// All links of the namespace.
    pub(crate) fn links(&mut self) -> io::Result<Vec<Link>> {
        let found = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(found.into_iter().filter_map(as_link).collect())
    }

    /// The link of this name.
    pub(crate) fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.get(RouteNetlinkMessage::GetLink(message)) {
            Ok(found) => Ok(as_link(found)),
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes a bridge that is still down.
    pub(crate) fn add_bridge(&mut self, name: &str, mtu: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        if mtu != 0 {
            message.attributes.push(LinkAttribute::Mtu(mtu));
        }
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.call(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Makes a veth pair: this end in the bridge and up, the other directly inside the namespace and down.
    pub(crate) fn add_veth(&mut self, pair: &VethPair<'_>) -> io::Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(pair.peer_name.to_owned()),
            LinkAttribute::Address(pair.peer_mac.0.to_vec()),
            LinkAttribute::NetNsFd(pair.peer_netns.as_raw_fd()),
        ];
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.push(LinkAttribute::IfName(pair.name.to_owned()));
        message.attributes.push(LinkAttribute::Controller(pair.bridge));
        if pair.mtu != 0 {
            peer.attributes.push(LinkAttribute::Mtu(pair.mtu));
            message.attributes.push(LinkAttribute::Mtu(pair.mtu));
        }
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.call(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Changes how a bridge treats one of its ports.
    pub(crate) fn set_port(&mut self, name: &str, setting: PortSetting) -> io::Result<()> {
        let setting = match setting {
            PortSetting::Isolated => InfoBridgePort::Isolated(true),
            PortSetting::Hairpin => InfoBridgePort::HairpinMode(true),
        };
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::PortKind(InfoPortKind::Bridge),
                LinkInfo::PortData(InfoPortData::BridgePort(vec![setting])),
            ]),
        ];
        self.call(RouteNetlinkMessage::NewLink(message), 0)
    }

    /// Writes the link's alias, by which a bridge is known to be ours.
    pub(crate) fn set_alias(&mut self, index: u32, alias: &str) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::IfAlias(alias.to_owned()));
        self.call(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Removes a link; one that is gone already is no error.
    pub(crate) fn delete_link(&mut self, name: &str) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.call(RouteNetlinkMessage::DelLink(message), 0) {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(()),
            other => other,
        }
    }

    /// Subnets of all routes and addresses of the namespace, default routes left out.
    pub(crate) fn occupied(&mut self) -> io::Result<Vec<IpNet>> {
        let mut routes = RouteMessage::default();
        routes.header.address_family = AddressFamily::Inet;
        let mut addresses = AddressMessage::default();
        addresses.header.family = AddressFamily::Inet;
        let mut found = self.dump(RouteNetlinkMessage::GetRoute(routes))?;
        found.extend(self.dump(RouteNetlinkMessage::GetAddress(addresses))?);
        Ok(found.into_iter().filter_map(as_subnet).collect())
    }

    /// The IPv4 addresses of a link.
    pub(crate) fn addresses(&mut self, index: u32) -> io::Result<Vec<Ipv4Net>> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        let found = self.dump(RouteNetlinkMessage::GetAddress(message))?;
        let of_link = |message: RouteNetlinkMessage| match message {
            RouteNetlinkMessage::NewAddress(address) if address.header.index == index => {
                let ip = address.attributes.iter().find_map(|a| match a {
                    AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
                    _ => None,
                })?;
                Ipv4Net::new(ip, address.header.prefix_len).ok()
            }
            _ => None,
        };
        Ok(found.into_iter().filter_map(of_link).collect())
    }
}

/// Brings a link up.
pub(crate) fn up(index: u32) -> (RouteNetlinkMessage, u16) {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    (RouteNetlinkMessage::SetLink(message), 0)
}

/// Gives a link an address.
pub(crate) fn add_address(index: u32, address: Ipv4Net) -> (RouteNetlinkMessage, u16) {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = address.prefix_len();
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(IpAddr::V4(address.addr())),
        AddressAttribute::Address(IpAddr::V4(address.addr())),
    ];
    if address.prefix_len() < 31 {
        message.attributes.push(AddressAttribute::Broadcast(address.broadcast()));
    }
    (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Takes an address from a link.
pub(crate) fn delete_address(index: u32, address: Ipv4Net) -> (RouteNetlinkMessage, u16) {
    let (message, _) = add_address(index, address);
    match message {
        RouteNetlinkMessage::NewAddress(m) => (RouteNetlinkMessage::DelAddress(m), 0),
        other => (other, 0),
    }
}

/// Sets the default route, replacing one that is there.
pub(crate) fn default_route(gateway: Ipv4Addr) -> (RouteNetlinkMessage, u16) {
    (RouteNetlinkMessage::NewRoute(route(Some(gateway))), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Removes the default route.
pub(crate) fn delete_default_route() -> (RouteNetlinkMessage, u16) {
    (RouteNetlinkMessage::DelRoute(route(None)), 0)
}

fn route(gateway: Option<Ipv4Addr>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    if let Some(gateway) = gateway {
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
    } else {
        message.header.scope = RouteScope::NoWhere;
    }
    message
}

/// States a link's hardware address again. With `arp_notify` the kernel then announces the link's addresses,
/// which corrects neighbours that remember an earlier holder.
pub(crate) fn announce(index: u32, mac: MacAddr) -> (RouteNetlinkMessage, u16) {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
    (RouteNetlinkMessage::SetLink(message), 0)
}

fn as_link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
    let mut link = Link { index: message.header.index, ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::IfAlias(alias) => link.alias = alias,
            LinkAttribute::Controller(index) => link.master = Some(index),
            LinkAttribute::OperState(state) => link.operational = state == State::Up,
            LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok().map(MacAddr),
            LinkAttribute::LinkInfo(infos) => {
                let kind = infos.into_iter().find_map(|i| match i {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
                link.kind = kind.unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

fn as_subnet(message: RouteNetlinkMessage) -> Option<IpNet> {
    match message {
        RouteNetlinkMessage::NewRoute(route) => {
            // Local and broadcast entries repeat the addresses.
            if route.header.kind != RouteType::Unicast {
                return None;
            }
            route.attributes.iter().find_map(|a| match a {
                RouteAttribute::Destination(RouteAddress::Inet(ip)) => {
                    IpNet::new(IpAddr::V4(*ip), route.header.destination_prefix_length).ok()
                }
                _ => None,
            })
        }
        RouteNetlinkMessage::NewAddress(address) => address.attributes.iter().find_map(|a| match a {
            AddressAttribute::Address(ip) => {
                IpNet::new(*ip, address.header.prefix_len).ok().map(|n| n.trunc())
            }
            _ => None,
        }),
        _ => None,
    }
}

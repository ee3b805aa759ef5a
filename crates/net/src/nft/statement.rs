//! The matches and verdicts our rules are made of, as text for people and as expressions for the kernel.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::attr::Attributes;

/// First data register, and the 32-bit registers that follow it within the same 16 bytes.
const REG_1: u32 = 1;
const REG_2: u32 = 2;
const REG32_01: u32 = 9;
const REG32_02: u32 = 10;
const LIST_ELEMENT: u16 = 1;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// Connections that are established or related to one, in the kernel's bit numbering.
const ESTABLISHED_RELATED: u32 = 0x2 | 0x4;
const STATUS_DNAT: u32 = 1 << 5;
const FIB_ADDRTYPE: u32 = 3;
const FIB_DADDR: u32 = 2;
const RTN_LOCAL: u32 = 2;

/// What a packet must be, or what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// Input interface is (not) this one.
    InputIs(bool, String),
    /// Output interface is (not) this one.
    OutputIs(bool, String),
    /// Input interface is in the set.
    InputIn(&'static str),
    /// Output interface is in the set.
    OutputIn(&'static str),
    /// Input and output interface looked up together in a verdict map.
    InputOutputMap(&'static str),
    /// Source address lies in the subnet.
    SourceIn(Ipv4Net),
    /// Destination address lies in the subnet.
    DestinationIn(Ipv4Net),
    /// Destination address is not this one.
    DestinationNot(Ipv4Addr),
    /// The destination address belongs to this host.
    DestinationLocal,
    /// The destination protocol is UDP (17) or TCP (6) with this port.
    DestinationPort(u8, u16),
    /// Part of, or related to, a connection that passed before.
    Established,
    /// The connection's destination was rewritten.
    Redirected,
    /// Rewrites destination address and port by a map from address, protocol and port.
    DnatByAddress(&'static str),
    /// Rewrites destination address and port by a map from protocol and port.
    DnatByPort(&'static str),
    /// Rewrites the destination to this address and port.
    Dnat(Ipv4Addr, u16),
    /// Rewrites the source to the address of the output interface.
    Masquerade,
    /// Counts packets and bytes.
    Counter,
    /// Lets the packet pass this chain.
    Accept,
    /// Drops the packet.
    Drop,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is: &bool| if *is { "" } else { "!= " };
        match self {
            Statement::InputIs(is, name) => write!(f, "iifname {}\"{name}\"", not(is)),
            Statement::OutputIs(is, name) => write!(f, "oifname {}\"{name}\"", not(is)),
            Statement::InputIn(set) => write!(f, "iifname @{set}"),
            Statement::OutputIn(set) => write!(f, "oifname @{set}"),
            Statement::InputOutputMap(map) => write!(f, "iifname . oifname vmap @{map}"),
            Statement::SourceIn(net) => write!(f, "ip saddr {net}"),
            Statement::DestinationIn(net) => write!(f, "ip daddr {net}"),
            Statement::DestinationNot(ip) => write!(f, "ip daddr != {ip}"),
            Statement::DestinationLocal => f.write_str("fib daddr type local"),
            Statement::DestinationPort(6, port) => write!(f, "tcp dport {port}"),
            Statement::DestinationPort(_, port) => write!(f, "udp dport {port}"),
            Statement::Established => f.write_str("ct state established,related"),
            Statement::Redirected => f.write_str("ct status dnat"),
            Statement::DnatByAddress(map) => {
                write!(f, "dnat to ip daddr . meta l4proto . th dport map @{map}")
            }
            Statement::DnatByPort(map) => write!(f, "dnat to meta l4proto . th dport map @{map}"),
            Statement::Dnat(ip, port) => write!(f, "dnat to {ip}:{port}"),
            Statement::Masquerade => f.write_str("masquerade"),
            Statement::Counter => f.write_str("counter"),
            Statement::Accept => f.write_str("accept"),
            Statement::Drop => f.write_str("drop"),
        }
    }
}

impl Statement {
    /// Appends the statement's expressions to a rule's list.
    pub(super) fn encode(&self, list: &mut Attributes<'_>) {
        match self {
            Statement::InputIs(is, name) => interface(list, META_IIFNAME, *is, name),
            Statement::OutputIs(is, name) => interface(list, META_OIFNAME, *is, name),
            Statement::InputIn(set) => {
                meta(list, META_IIFNAME, REG_1);
                lookup(list, set, None);
            }
            Statement::OutputIn(set) => {
                meta(list, META_OIFNAME, REG_1);
                lookup(list, set, None);
            }
            Statement::InputOutputMap(map) => {
                // An interface name fills a 16-byte register, so the pair lies in the first two.
                meta(list, META_IIFNAME, REG_1);
                meta(list, META_OIFNAME, REG_2);
                lookup(list, map, Some(0));
            }
            Statement::SourceIn(net) => subnet(list, 12, *net),
            Statement::DestinationIn(net) => subnet(list, 16, *net),
            Statement::DestinationNot(ip) => {
                payload(list, NETWORK_HEADER, 16, 4, REG_1);
                compare(list, false, &ip.octets());
            }
            Statement::DestinationLocal => {
                expression(list, "fib", |a| {
                    a.u32(1, REG_1);
                    a.u32(2, FIB_ADDRTYPE);
                    a.u32(3, FIB_DADDR);
                });
                compare(list, true, &RTN_LOCAL.to_ne_bytes());
            }
            Statement::DestinationPort(protocol, port) => {
                meta(list, META_L4PROTO, REG_1);
                compare(list, true, &[*protocol]);
                payload(list, TRANSPORT_HEADER, 2, 2, REG_1);
                compare(list, true, &port.to_be_bytes());
            }
            Statement::Established => conntrack(list, CT_STATE, ESTABLISHED_RELATED),
            Statement::Redirected => conntrack(list, CT_STATUS, STATUS_DNAT),
            Statement::DnatByAddress(map) => {
                payload(list, NETWORK_HEADER, 16, 4, REG_1);
                meta(list, META_L4PROTO, REG32_01);
                payload(list, TRANSPORT_HEADER, 2, 2, REG32_02);
                lookup(list, map, Some(REG_1));
                dnat(list);
            }
            Statement::DnatByPort(map) => {
                meta(list, META_L4PROTO, REG_1);
                payload(list, TRANSPORT_HEADER, 2, 2, REG32_01);
                lookup(list, map, Some(REG_1));
                dnat(list);
            }
            Statement::Dnat(ip, port) => {
                immediate(list, REG_1, &ip.octets());
                immediate(list, REG32_01, &port.to_be_bytes());
                dnat(list);
            }
            Statement::Masquerade => expression(list, "masq", |_| {}),
            Statement::Counter => expression(list, "counter", |a| {
                a.u64(1, 0);
                a.u64(2, 0);
            }),
            Statement::Accept => verdict(list, 1),
            Statement::Drop => verdict(list, 0),
        }
    }
}

fn expression(list: &mut Attributes<'_>, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) {
    list.nest(LIST_ELEMENT, |a| {
        a.text(1, name);
        a.nest(2, fill);
    });
}

fn meta(list: &mut Attributes<'_>, key: u32, register: u32) {
    expression(list, "meta", |a| {
        a.u32(1, register);
        a.u32(2, key);
    });
}

fn interface(list: &mut Attributes<'_>, key: u32, is: bool, name: &str) {
    meta(list, key, REG_1);
    compare(list, is, &interface_key(name));
}

fn subnet(list: &mut Attributes<'_>, offset: u32, net: Ipv4Net) {
    payload(list, NETWORK_HEADER, offset, 4, REG_1);
    if net.prefix_len() < 32 {
        bitwise(list, &net.netmask().octets());
    }
    compare(list, true, &net.network().octets());
}

fn conntrack(list: &mut Attributes<'_>, key: u32, mask: u32) {
    expression(list, "ct", |a| {
        a.u32(1, REG_1);
        a.u32(2, key);
    });
    bitwise(list, &mask.to_ne_bytes());
    compare(list, false, &[0; 4]);
}

fn payload(list: &mut Attributes<'_>, base: u32, offset: u32, length: u32, register: u32) {
    expression(list, "payload", |a| {
        a.u32(1, register);
        a.u32(2, base);
        a.u32(3, offset);
        a.u32(4, length);
    });
}

fn compare(list: &mut Attributes<'_>, equal: bool, value: &[u8]) {
    expression(list, "cmp", |a| {
        a.u32(1, REG_1);
        a.u32(2, u32::from(!equal));
        a.nest(3, |a| a.bytes(1, value));
    });
}

fn bitwise(list: &mut Attributes<'_>, mask: &[u8; 4]) {
    expression(list, "bitwise", |a| {
        a.u32(1, REG_1);
        a.u32(2, REG_1);
        a.u32(3, 4);
        a.nest(4, |a| a.bytes(1, mask));
        a.nest(5, |a| a.bytes(1, &[0; 4]));
    });
}

/// Looks the first register up; `result` is where a map's value goes, 0 being the verdict.
fn lookup(list: &mut Attributes<'_>, set: &str, result: Option<u32>) {
    expression(list, "lookup", |a| {
        a.text(1, set);
        a.u32(2, REG_1);
        if let Some(register) = result {
            a.u32(3, register);
        }
    });
}

fn immediate(list: &mut Attributes<'_>, register: u32, value: &[u8]) {
    expression(list, "immediate", |a| {
        a.u32(1, register);
        a.nest(2, |a| a.bytes(1, value));
    });
}

fn dnat(list: &mut Attributes<'_>) {
    expression(list, "nat", |a| {
        a.u32(1, 1);
        a.u32(2, u32::from(super::attr::FAMILY));
        a.u32(3, REG_1);
        a.u32(5, REG32_01);
    });
}

fn verdict(list: &mut Attributes<'_>, code: u32) {
    expression(list, "immediate", |a| {
        a.u32(1, 0);
        a.nest(2, |a| a.nest(2, |a| a.u32(1, code)));
    });
}

/// An interface name as it lies in a register: 16 bytes, zero-padded.
pub(super) fn interface_key(name: &str) -> [u8; 16] {
    let mut key = [0; 16];
    let length = name.len().min(15);
    key[..length].copy_from_slice(&name.as_bytes()[..length]);
    key
}

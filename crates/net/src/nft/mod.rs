//! One nftables table per engine, changed by atomic batches over netlink.
//!
//! [`ruleset`] says what the table holds, [`statement`] and [`attr`] encode it, and this module applies it:
//! the whole table when a network comes or goes, single map elements when a port is published. [`abandoned`] removes
//! tables whose engine is gone, [`interop`] keeps peace with iptables.

pub(crate) mod abandoned;
mod attr;
pub(crate) mod conntrack;
pub(crate) mod interop;
mod ruleset;
mod statement;

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use attr::Attributes;
pub(crate) use attr::Batch;
pub(crate) use ruleset::Bridge;
use ruleset::{BRIDGES, INTERNAL, PORTS, PORTS_BY_ADDRESS, SAME_BRIDGE};
use statement::{Statement, interface_key};

use crate::PortBinding;
use crate::netlink::Socket;

const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
/// `nft` shows a set's keys by these type numbers; the kernel does not care.
const TYPE_ADDRESS: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_INTERFACE: u32 = 41;
const TYPE_VERDICT: u32 = 0xffff_ff00;
const TYPE_BITS: u32 = 6;
const SET_MAP: u32 = 8;

/// A published port and the container address it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forward {
    pub(crate) binding: PortBinding,
    pub(crate) target: Ipv4Addr,
}

impl Batch {
    /// Sends the batch; the kernel applies all of it or nothing.
    ///
    /// The socket should live on: closing one after something was deleted waits for an RCU grace period.
    ///
    /// # Errors
    /// The first error the kernel reports.
    pub(crate) fn commit(self, socket: &mut Socket) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let base = socket.reserve_sequences(self.len());
        let (bytes, numbers) = self.finish(base);
        socket.exchange(&bytes, numbers, |_| {})
    }

    /// Replaces the whole table by one for these bridges and ports.
    pub(crate) fn replace_table(&mut self, table: &str, bridges: &[Bridge], ports: &[Forward]) {
        self.remove_table(table);
        self.message(NEWTABLE, CREATE, |a| {
            a.text(1, table);
            a.bytes(6, &user_data(&abandoned::mark(table)));
        });
        self.add_sets(table);
        for chain in ruleset::chains(bridges) {
            self.add_chain(table, &chain);
        }
        let names = bridges.iter().map(|b| b.interface.as_str());
        self.interfaces(table, BRIDGES, names);
        let names = bridges.iter().filter(|b| b.internal).map(|b| b.interface.as_str());
        self.interfaces(table, INTERNAL, names);
        self.same_bridge(table, bridges);
        self.add_ports(table, ports);
    }

    /// Removes the table, if there is one.
    pub(crate) fn remove_table(&mut self, table: &str) {
        // Deleting what is not there fails the batch, so it is made first.
        self.message(NEWTABLE, CREATE, |a| a.text(1, table));
        self.message(DELTABLE, 0, |a| a.text(1, table));
    }

    /// Publishes ports.
    pub(crate) fn add_ports(&mut self, table: &str, ports: &[Forward]) {
        self.change_ports(table, NEWSETELEM, CREATE, ports);
    }

    /// Takes published ports back.
    pub(crate) fn remove_ports(&mut self, table: &str, ports: &[Forward]) {
        self.change_ports(table, DELSETELEM, 0, ports);
    }

    fn change_ports(&mut self, table: &str, kind: u16, flags: u16, ports: &[Forward]) {
        // An attribute's length has 16 bits: split what would not fit.
        for chunk in ports.chunks(500) {
            let of = |any: bool| chunk.iter().filter_map(move |f| port_element(f, any));
            self.elements(kind, flags, table, PORTS, of(true));
            self.elements(kind, flags, table, PORTS_BY_ADDRESS, of(false));
        }
    }

    fn add_sets(&mut self, table: &str) {
        let address_port = concat(&[TYPE_ADDRESS, TYPE_PORT]);
        let by_address = concat(&[TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT]);
        let by_port = concat(&[TYPE_PROTOCOL, TYPE_PORT]);
        let interfaces = concat(&[TYPE_INTERFACE, TYPE_INTERFACE]);
        self.add_set(table, 1, BRIDGES, (TYPE_INTERFACE, 16), None);
        self.add_set(table, 2, INTERNAL, (TYPE_INTERFACE, 16), None);
        self.add_set(table, 3, SAME_BRIDGE, (interfaces, 32), Some((TYPE_VERDICT, 16)));
        self.add_set(table, 4, PORTS_BY_ADDRESS, (by_address, 12), Some((address_port, 8)));
        self.add_set(table, 5, PORTS, (by_port, 8), Some((address_port, 8)));
    }

    fn add_set(&mut self, table: &str, id: u32, name: &str, key: (u32, u32), data: Option<(u32, u32)>) {
        self.message(NEWSET, CREATE, |a| {
            a.text(1, table);
            a.text(2, name);
            a.u32(3, if data.is_some() { SET_MAP } else { 0 });
            a.u32(4, key.0);
            a.u32(5, key.1);
            if let Some((kind, length)) = data {
                a.u32(6, kind);
                a.u32(7, length);
            }
            a.u32(10, id);
            if key.0 == TYPE_INTERFACE {
                // So that `nft` shows the names: user data 0 is the keys' byte order, 1 the host's.
                a.bytes(13, &[&[0, 4], &1u32.to_ne_bytes()[..]].concat());
            }
        });
    }

    fn add_chain(&mut self, table: &str, chain: &ruleset::Chain) {
        self.message(NEWCHAIN, CREATE, |a| {
            a.text(1, table);
            a.text(3, chain.name);
            a.nest(4, |a| {
                a.u32(1, chain.hook);
                a.u32(2, chain.priority.cast_unsigned());
            });
            a.u32(5, 1);
            a.text(7, chain.kind);
        });
        for rule in &chain.rules {
            self.add_rule(table, chain.name, APPEND, rule, None);
        }
    }

    /// Adds a rule at the end of a chain, or with no flags at its head.
    fn add_rule(&mut self, table: &str, chain: &str, place: u16, rule: &[Statement], comment: Option<&str>) {
        self.message(NEWRULE, CREATE | place, |a| {
            a.text(1, table);
            a.text(2, chain);
            a.nest(4, |list| rule.iter().for_each(|statement| statement.encode(list)));
            if let Some(comment) = comment {
                a.bytes(7, &user_data(comment));
            }
        });
    }

    fn interfaces<'a>(&mut self, table: &str, set: &str, names: impl Iterator<Item = &'a str>) {
        let keys = names.map(|name| Element { key: interface_key(name).to_vec(), data: Data::None });
        self.elements(NEWSETELEM, CREATE, table, set, keys);
    }

    fn same_bridge(&mut self, table: &str, bridges: &[Bridge]) {
        let elements = bridges.iter().map(|bridge| {
            let name = interface_key(&bridge.interface);
            Element { key: [name, name].concat(), data: Data::Verdict(u32::from(bridge.icc)) }
        });
        self.elements(NEWSETELEM, CREATE, table, SAME_BRIDGE, elements);
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        table: &str,
        set: &str,
        elements: impl Iterator<Item = Element>,
    ) {
        let mut elements = elements.peekable();
        if elements.peek().is_none() {
            return;
        }
        self.message(kind, flags, |a| {
            a.text(1, table);
            a.text(2, set);
            a.nest(3, |list| elements.for_each(|element| list.nest(1, |a| element.encode(a))));
        });
    }
}

/// Makes the table that sends a container's DNS queries to the embedded server, in the namespace of the calling
/// thread, or replaces the one of an earlier server.
pub(crate) fn redirect_dns(server: Ipv4Addr, udp: u16, tcp: u16) -> io::Result<()> {
    const TABLE: &str = "wharf-dns";
    let server_only = ipnet::Ipv4Net::new_assert(server, 32);
    let rule = |protocol, to| {
        let matches = [Statement::DestinationIn(server_only), Statement::DestinationPort(protocol, 53)];
        matches.into_iter().chain([Statement::Dnat(server, to)]).collect::<Vec<_>>()
    };
    let chain = ruleset::Chain {
        name: "output",
        kind: "nat",
        hook: 3,
        priority: -100,
        rules: vec![rule(17, udp), rule(6, tcp)],
    };
    let make = |mut batch: Batch, flags: u16| {
        batch.message(NEWTABLE, CREATE | flags, |a| a.text(1, TABLE));
        batch.add_chain(TABLE, &chain);
        batch.commit(&mut Socket::netfilter()?)
    };
    match make(Batch::new(), EXCLUSIVE) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let mut batch = Batch::new();
            batch.remove_table(TABLE);
            make(batch, 0)
        }
        other => other,
    }
}

struct Element {
    key: Vec<u8>,
    data: Data,
}

enum Data {
    None,
    Value(Vec<u8>),
    Verdict(u32),
}

impl Element {
    fn encode(&self, a: &mut Attributes<'_>) {
        a.nest(1, |a| a.bytes(1, &self.key));
        match &self.data {
            Data::None => {}
            Data::Value(value) => a.nest(2, |a| a.bytes(1, value)),
            Data::Verdict(code) => a.nest(2, |a| a.nest(2, |a| a.u32(1, *code))),
        }
    }
}

/// The map element of an IPv4 binding, for the map of all addresses or the one of single addresses.
fn port_element(forward: &Forward, any: bool) -> Option<Element> {
    let IpAddr::V4(host_ip) = forward.binding.host_ip else { return None };
    if host_ip.is_unspecified() != any {
        return None;
    }
    let mut key = Vec::with_capacity(12);
    if !any {
        key.extend_from_slice(&host_ip.octets());
    }
    key.extend_from_slice(&[forward.binding.protocol.number(), 0, 0, 0]);
    key.extend_from_slice(&port_field(forward.binding.host_port));
    let mut value = forward.target.octets().to_vec();
    value.extend_from_slice(&port_field(forward.binding.container_port));
    Some(Element { key, data: Data::Value(value) })
}

/// A port in a concatenation: each field is padded to four bytes.
fn port_field(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn concat(types: &[u32]) -> u32 {
    types.iter().fold(0, |all, kind| all << TYPE_BITS | kind)
}

/// A comment, as `nft` stores it.
fn user_data(comment: &str) -> Vec<u8> {
    let comment = &comment.as_bytes()[..comment.len().min(120)];
    let mut bytes = vec![0, u8::try_from(comment.len() + 1).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(comment);
    bytes.push(0);
    bytes
}

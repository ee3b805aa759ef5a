//! Forgetting UDP flows to a host port when it is published or no longer is: a client that keeps sending would
//! otherwise be led where the flow went before, to nobody or to an earlier container.

use std::io;
use std::net::Ipv4Addr;

use super::Forward;
use super::attr::{attributes, frame};
use crate::netlink::Socket;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = 1;
const DELETE: u16 = 2;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const IPV4: u8 = 2;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;

/// Deletes the entries of flows to these host ports.
///
/// # Errors
/// The kernel's; a host without connection tracking has nothing to delete.
pub(crate) fn forget(socket: &mut Socket, ports: &[Forward]) -> io::Result<()> {
    if ports.is_empty() {
        return Ok(());
    }
    let sequence = socket.next_sequence();
    let mut bytes = Vec::new();
    frame(&mut bytes, SUBSYSTEM | GET, REQUEST | DUMP, sequence, IPV4, 0, |_| {});
    let mut stale = Vec::new();
    socket.exchange(&bytes, sequence..=sequence, |reply| {
        let payload = reply.payload.get(4..).unwrap_or_default();
        let find = |wanted| attributes(payload).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let (Some(original), Some(answer)) = (find(TUPLE_ORIGINAL), find(TUPLE_REPLY)) else { return };
        if matches(original, answer, ports) {
            stale.push(original.to_vec());
        }
    })?;
    for original in stale {
        let sequence = socket.next_sequence();
        let mut bytes = Vec::new();
        frame(&mut bytes, SUBSYSTEM | DELETE, REQUEST | ACK, sequence, IPV4, 0, |a| {
            a.bytes(TUPLE_ORIGINAL | 0x8000, &original);
        });
        match socket.exchange(&bytes, sequence..=sequence, |_| {}) {
            // It may have ended in between.
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a flow went to one of the host ports and was answered at that address or by the port's container.
fn matches(original: &[u8], answer: &[u8], ports: &[Forward]) -> bool {
    let (Some(there), Some(back)) = (tuple(original), tuple(answer)) else { return false };
    ports.iter().any(|port| {
        let binding = port.binding;
        let to_port = there.protocol == binding.protocol.number() && there.destination.1 == binding.host_port;
        to_port && (back.source == there.destination || back.source == (port.target, binding.container_port))
    })
}

struct Tuple {
    protocol: u8,
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
}

fn tuple(bytes: &[u8]) -> Option<Tuple> {
    let nested =
        |wanted: u16, bytes: &[u8]| attributes(bytes).find(|(k, _)| *k == wanted).map(|(_, v)| v.to_vec());
    let addresses = nested(1, bytes)?;
    let transport = nested(2, bytes)?;
    let address = |wanted| nested(wanted, &addresses)?.try_into().ok().map(<Ipv4Addr as From<[u8; 4]>>::from);
    let port = |wanted| nested(wanted, &transport)?.try_into().ok().map(u16::from_be_bytes);
    let protocol = *nested(1, &transport)?.first()?;
    Some(Tuple { protocol, source: (address(1)?, port(2)?), destination: (address(2)?, port(3)?) })
}

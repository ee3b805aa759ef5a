//! Forgetting connections to a port that is no longer published, so that a new container behind the same
//! port is not shadowed by an old UDP flow.

use std::io;
use std::net::IpAddr;

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

/// Deletes the entries of connections that were led to these ports' containers.
///
/// # Errors
/// The kernel's; a host without connection tracking has nothing to delete.
pub(crate) fn forget(ports: &[Forward]) -> io::Result<()> {
    if ports.is_empty() {
        return Ok(());
    }
    let mut socket = Socket::netfilter()?;
    let sequence = socket.next_sequence();
    let mut bytes = Vec::new();
    frame(&mut bytes, SUBSYSTEM | GET, REQUEST | DUMP, sequence, IPV4, 0, |_| {});
    let mut stale = Vec::new();
    socket.exchange(&bytes, sequence, |reply| {
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
        match socket.exchange(&bytes, sequence, |_| {}) {
            // It may have ended in between.
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a connection went to a published host port and is answered by that port's container.
fn matches(original: &[u8], answer: &[u8], ports: &[Forward]) -> bool {
    let (Some((_, _, protocol, host_port)), Some((from, source_port, _, _))) =
        (tuple(original), tuple(answer))
    else {
        return false;
    };
    ports.iter().any(|port| {
        protocol == port.binding.protocol.number()
            && host_port == port.binding.host_port
            && from == IpAddr::V4(port.target)
            && source_port == port.binding.container_port
    })
}

/// Source address, source port, protocol and destination port of a connection tuple.
fn tuple(bytes: &[u8]) -> Option<(IpAddr, u16, u8, u16)> {
    let nested =
        |wanted: u16, bytes: &[u8]| attributes(bytes).find(|(k, _)| *k == wanted).map(|(_, v)| v.to_vec());
    let addresses = nested(1, bytes)?;
    let transport = nested(2, bytes)?;
    let source: [u8; 4] = nested(1, &addresses)?.try_into().ok()?;
    let protocol = *nested(1, &transport)?.first()?;
    let port = |wanted| nested(wanted, &transport)?.try_into().ok().map(u16::from_be_bytes);
    Some((IpAddr::from(source), port(2)?, protocol, port(3)?))
}

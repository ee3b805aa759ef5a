//! Living beside iptables: a host whose `FORWARD` policy is DROP (any host with Docker) would swallow our
//! packets, since every base chain has to accept a packet. Where iptables' filter table exists, our bridges
//! are accepted in its user chain; what may pass is then decided by our own table alone.
//!
//! Only iptables over nftables can be reached this way, which is what current distributions install.

use std::io;

use super::DELRULE;
use super::attr::{Batch, attributes, request};
use super::statement::Statement;
use crate::netlink::Socket;

const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const TABLE: &str = "filter";
const NFGENMSG: usize = 4;

/// Makes the host's filter table accept exactly these bridges of the engine named `instance`; with none, our
/// rules are removed. Changes nothing if that is so already.
///
/// # Errors
/// The kernel's, other than the table not being there.
pub(crate) fn accept_bridges(socket: &mut Socket, instance: &str, bridges: &[&str]) -> io::Result<()> {
    let mark = format!("wharf:{instance}:");
    let mut wanted: Vec<_> = match user_chain(socket)? {
        Some(chain) => bridges.iter().flat_map(|bridge| [(chain, *bridge); 2]).collect(),
        None => Vec::new(),
    };
    wanted.sort_unstable();
    let mut present = Vec::new();
    for chain in ["DOCKER-USER", "FORWARD"] {
        let rules = our_rules(socket, chain, &mark)?;
        present.extend(rules.into_iter().map(|(handle, bridge)| (chain, bridge, handle)));
    }
    present.sort_unstable();
    if present.iter().map(|(chain, bridge, _)| (*chain, bridge.as_str())).eq(wanted.iter().copied()) {
        return Ok(());
    }
    let mut batch = Batch::new();
    for (chain, _, handle) in present {
        batch.message(DELRULE, 0, |a| {
            a.text(1, TABLE);
            a.text(2, chain);
            a.u64(3, handle);
        });
    }
    wanted.dedup();
    for (chain, bridge) in wanted {
        let comment = format!("{mark}{bridge}");
        let name = || bridge.to_owned();
        for interface in [Statement::InputIs(true, name()), Statement::OutputIs(true, name())] {
            let rule = [interface, Statement::Counter, Statement::Accept];
            batch.add_rule(TABLE, chain, 0, &rule, Some(&comment));
        }
    }
    batch.commit(socket)
}

/// The chain for an administrator's own rules: Docker's if it is there.
fn user_chain(socket: &mut Socket) -> io::Result<Option<&'static str>> {
    for chain in ["DOCKER-USER", "FORWARD"] {
        let sequence = socket.next_sequence();
        let bytes = request(GETCHAIN, ACK, sequence, |a| {
            a.text(1, TABLE);
            a.text(3, chain);
        });
        match socket.exchange(&bytes, sequence..=sequence, |_| {}) {
            Ok(()) => return Ok(Some(chain)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// The rules in `chain` whose comment starts with `mark`: handle, and the bridge the comment names.
fn our_rules(socket: &mut Socket, chain: &str, mark: &str) -> io::Result<Vec<(u64, String)>> {
    let sequence = socket.next_sequence();
    let bytes = request(GETRULE, DUMP, sequence, |a| {
        a.text(1, TABLE);
        a.text(2, chain);
    });
    let mut rules = Vec::new();
    let result = socket.exchange(&bytes, sequence..=sequence, |reply| {
        let (mut handle, mut bridge) = (None, None);
        for (kind, value) in attributes(reply.payload.get(NFGENMSG..).unwrap_or_default()) {
            match kind {
                3 => handle = value.try_into().ok().map(u64::from_be_bytes),
                // User data: type, length, then the comment and a zero byte.
                7 => {
                    let comment = value.get(2..).and_then(|comment| comment.strip_prefix(mark.as_bytes()));
                    bridge = comment.map(|b| String::from_utf8_lossy(b).trim_end_matches('\0').to_owned());
                }
                _ => {}
            }
        }
        rules.extend(handle.zip(bridge));
    });
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map(|()| rules),
    }
}

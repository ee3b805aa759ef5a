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
/// rules are removed.
///
/// # Errors
/// The kernel's, other than the table not being there.
pub(crate) fn accept_bridges(instance: &str, bridges: &[&str]) -> io::Result<()> {
    let mut socket = Socket::netfilter()?;
    let mark = format!("wharf:{instance}:");
    let mut batch = Batch::new();
    for chain in ["DOCKER-USER", "FORWARD"] {
        for handle in our_rules(&mut socket, chain, &mark)? {
            batch.message(DELRULE, 0, |a| {
                a.text(1, TABLE);
                a.text(2, chain);
                a.u64(3, handle);
            });
        }
    }
    if !bridges.is_empty()
        && let Some(chain) = user_chain(&mut socket)?
    {
        for bridge in bridges {
            let comment = format!("{mark}{bridge}");
            let name = || (*bridge).to_owned();
            for interface in [Statement::InputIs(true, name()), Statement::OutputIs(true, name())] {
                let rule = [interface, Statement::Counter, Statement::Accept];
                batch.add_rule(TABLE, chain, 0, &rule, Some(&comment));
            }
        }
    }
    batch.commit()
}

/// The chain for an administrator's own rules: Docker's if it is there.
fn user_chain(socket: &mut Socket) -> io::Result<Option<&'static str>> {
    for chain in ["DOCKER-USER", "FORWARD"] {
        let sequence = socket.next_sequence();
        let bytes = request(GETCHAIN, ACK, sequence, |a| {
            a.text(1, TABLE);
            a.text(3, chain);
        });
        match socket.exchange(&bytes, sequence, |_| {}) {
            Ok(()) => return Ok(Some(chain)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// Handles of the rules in `chain` whose comment starts with `mark`.
fn our_rules(socket: &mut Socket, chain: &str, mark: &str) -> io::Result<Vec<u64>> {
    let sequence = socket.next_sequence();
    let bytes = request(GETRULE, DUMP, sequence, |a| {
        a.text(1, TABLE);
        a.text(2, chain);
    });
    let mut handles = Vec::new();
    let result = socket.exchange(&bytes, sequence, |reply| {
        let (mut handle, mut ours) = (None, false);
        for (kind, value) in attributes(reply.payload.get(NFGENMSG..).unwrap_or_default()) {
            match kind {
                3 => handle = value.try_into().ok().map(u64::from_be_bytes),
                // User data: type, length, then the comment.
                7 => ours |= value.get(2..).is_some_and(|comment| comment.starts_with(mark.as_bytes())),
                _ => {}
            }
        }
        handles.extend(handle.filter(|_| ours));
    });
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map(|()| handles),
    }
}

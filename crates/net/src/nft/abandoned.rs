//! Tables of engines that are gone for good. Such a table still drops what is sent to its engine's subnets, which
//! another engine may have by now.
//!
//! A table bears its engine's mark as its comment. An engine that is merely stopped still has its bridges, which bear the
//! same mark: a table without any belongs to nobody.

use std::io;

use super::attr::{attributes, request};
use super::{Batch, interop};
use crate::netlink::Socket;
use crate::netlink::link::Link;

const GETTABLE: u16 = 1;
const DUMP: u16 = 0x300;
const NFGENMSG: usize = 4;

/// What engines write beside the things they make.
pub(crate) fn mark(instance: &str) -> String {
    format!("wharf:{instance}")
}

/// Removes the tables of engines that have no bridge, other than those of `own`; returns their names. `links` lists the
/// host's links, and is called after the tables were listed: an engine makes its bridge first.
///
/// # Errors
/// The kernel's.
pub(crate) fn remove_abandoned(
    socket: &mut Socket,
    own: &str,
    links: impl FnOnce() -> io::Result<Vec<Link>>,
) -> io::Result<Vec<String>> {
    let mut tables = marked_tables(socket)?;
    tables.retain(|table| table != own);
    if tables.is_empty() {
        return Ok(tables);
    }
    let links = links()?;
    // A bridge that its administrator made bears no mark, but the engine that was given it is named after it.
    tables.retain(|table| !links.iter().any(|link| link.alias == mark(table) || link.name == *table));
    for table in &tables {
        let mut batch = Batch::new();
        batch.remove_table(table);
        batch.commit(socket)?;
        interop::accept_bridges(socket, table, &[])?;
    }
    Ok(tables)
}

/// Names of the tables that engines made.
fn marked_tables(socket: &mut Socket) -> io::Result<Vec<String>> {
    let sequence = socket.next_sequence();
    let bytes = request(GETTABLE, DUMP, sequence, |_| {});
    let mut tables = Vec::new();
    socket.exchange(&bytes, sequence..=sequence, |reply| {
        let (mut name, mut comment) = (String::new(), String::new());
        for (kind, value) in attributes(reply.payload.get(NFGENMSG..).unwrap_or_default()) {
            match kind {
                1 => name = text(value),
                // User data: type, length, then the comment and a zero byte.
                6 => comment = text(value.get(2..).unwrap_or_default()),
                _ => {}
            }
        }
        if comment == mark(&name) {
            tables.push(name);
        }
    })?;
    Ok(tables)
}

/// A string that ends with a zero byte.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

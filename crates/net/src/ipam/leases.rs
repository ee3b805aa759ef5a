//! Which addresses of a network are given out: one row per network, changed in the caller's transaction.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use wharf_db::{Table, Tx, View};

use super::choose;
use crate::{Error, NetworkRecord, Result};

const LEASES: Table<Leases> = Table::new("network_leases", 1);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Leases {
    /// Address to endpoint id.
    taken: BTreeMap<Ipv4Addr, String>,
}

/// Gives `endpoint` an address.
///
/// # Errors
/// As [`choose`], and the database's.
pub(crate) fn take(
    tx: &mut Tx<'_>,
    network: &NetworkRecord,
    endpoint: &str,
    wanted: Option<Ipv4Addr>,
) -> Result<Ipv4Addr> {
    let pool = network.pool().ok_or_else(|| Error::NotFound(network.name.clone()))?;
    let mut leases = LEASES.get(tx, &network.id)?.unwrap_or_default();
    let ip = choose(network, pool, &leases.taken, wanted)?;
    leases.taken.insert(ip, endpoint.to_owned());
    LEASES.put(tx, &network.id, &leases)?;
    Ok(ip)
}

/// Takes an address back if `endpoint` holds it.
///
/// # Errors
/// The database's.
pub(crate) fn give_back(tx: &mut Tx<'_>, network: &str, endpoint: &str, ip: Ipv4Addr) -> Result<()> {
    let Some(mut leases) = LEASES.get(tx, network)? else { return Ok(()) };
    if leases.taken.get(&ip).is_some_and(|holder| holder == endpoint) {
        leases.taken.remove(&ip);
        LEASES.put(tx, network, &leases)?;
    }
    Ok(())
}

/// Keeps the leases of endpoints for which `known` holds and drops the others, in all networks.
///
/// # Errors
/// The database's.
pub(crate) fn retain(tx: &mut Tx<'_>, known: impl Fn(&str) -> bool) -> Result<()> {
    for (network, mut leases) in LEASES.list(tx)? {
        let before = leases.taken.len();
        leases.taken.retain(|_, endpoint| known(endpoint));
        if leases.taken.len() != before {
            LEASES.put(tx, &network, &leases)?;
        }
    }
    Ok(())
}

/// How many addresses of a network are given out.
pub(crate) fn count(tx: &View<'_>, network: &str) -> Result<usize> {
    Ok(LEASES.get(tx, network)?.map_or(0, |leases| leases.taken.len()))
}

/// Forgets a network.
pub(crate) fn forget(tx: &mut Tx<'_>, network: &str) -> Result<()> {
    LEASES.delete(tx, network)?;
    Ok(())
}

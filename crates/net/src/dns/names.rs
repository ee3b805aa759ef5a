//! Who is called what, network by network.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::EndpointState;

/// Names of the endpoints of all networks. Lookups ignore case.
#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: RwLock<HashMap<String, Vec<Entry>>>,
}

/// One endpoint; entries are kept by network id.
#[derive(Debug)]
struct Entry {
    endpoint: String,
    container: String,
    network: String,
    ip: Ipv4Addr,
    /// Whether the endpoint leads out of its network.
    outward: bool,
    /// As given; the first is the container's. None on the default bridge.
    names: Vec<String>,
}

impl Entry {
    /// Whether the endpoint is called `name` or `name.network`.
    fn is_called(&self, name: &str) -> bool {
        let is = |name: &str| self.names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let qualified = || {
            let split = name.len().checked_sub(self.network.len())?;
            let (short, network) = (name.get(..split)?, name.get(split..)?);
            let short = short.strip_suffix('.')?;
            Some(network.eq_ignore_ascii_case(&self.network) && is(short))
        };
        is(name) || qualified().unwrap_or(false)
    }
}

impl Names {
    /// Adds an endpoint, replacing what was known of it.
    pub(crate) fn insert(&self, state: &EndpointState) {
        let Some(ip) = state.ip else { return };
        let entry = Entry {
            endpoint: state.id.clone(),
            container: state.container_id.clone(),
            network: state.network.clone(),
            ip,
            outward: state.gateway.is_some(),
            names: state.names.clone(),
        };
        let mut networks = self.write();
        let entries = networks.entry(state.network_id.clone()).or_default();
        entries.retain(|e| e.endpoint != state.id);
        entries.push(entry);
    }

    /// Removes an endpoint; true if its container has no other.
    pub(crate) fn remove(&self, state: &EndpointState) -> bool {
        let mut networks = self.write();
        if let Some(entries) = networks.get_mut(&state.network_id) {
            entries.retain(|e| e.endpoint != state.id);
            if entries.is_empty() {
                networks.remove(&state.network_id);
            }
        }
        !networks.values().flatten().any(|e| e.container == state.container_id)
    }

    /// Addresses of all endpoints `container` may call `name`: those in the networks it is in itself.
    pub(crate) fn addresses(&self, container: &str, name: &str) -> Vec<Ipv4Addr> {
        let networks = self.read();
        let known = entries_beside(&networks, container);
        known.filter(|e| e.is_called(name)).map(|e| e.ip).collect()
    }

    /// `name.network` of the endpoint with this address, in a network `container` is in.
    pub(crate) fn name_of(&self, container: &str, ip: Ipv4Addr) -> Option<String> {
        let networks = self.read();
        let entry = entries_beside(&networks, container).find(|e| e.ip == ip)?;
        Some(format!("{}.{}", entry.names.first()?, entry.network))
    }

    /// Whether a container has a way out of its networks.
    pub(crate) fn leads_out(&self, container: &str) -> bool {
        self.read().values().flatten().any(|e| e.container == container && e.outward)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Vec<Entry>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Vec<Entry>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everybody in the networks a container is in.
fn entries_beside<'a>(
    networks: &'a HashMap<String, Vec<Entry>>,
    container: &'a str,
) -> impl Iterator<Item = &'a Entry> {
    networks.values().filter(move |entries| entries.iter().any(|e| e.container == container)).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn endpoint(id: &str, network: &str, ip: &str, names: &[&str]) -> EndpointState {
        EndpointState {
            id: format!("{id}-{network}"),
            container_id: id.into(),
            network_id: format!("{network}-id"),
            network: network.into(),
            ip: Some(ip.parse().unwrap()),
            gateway: (network != "inner").then(|| "10.0.0.1".parse().unwrap()),
            names: names.iter().map(|n| (*n).to_owned()).collect(),
            ..EndpointState::default()
        }
    }

    #[test]
    fn lookups_stay_within_the_container_s_networks() {
        let names = Names::default();
        let asker = endpoint("asker", "one", "10.1.0.2", &["asker"]);
        let web = endpoint("web", "one", "10.1.0.3", &["Web", "www", "0123456789ab"]);
        let other = endpoint("other", "two", "10.2.0.2", &["hidden", "www"]);
        for state in [&asker, &web, &other] {
            names.insert(state);
        }
        let find = |name: &str| {
            names.addresses("asker", name).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        for name in ["web", "WWW", "0123456789ab", "web.one", "www.ONE"] {
            assert_eq!(find(name), "10.1.0.3", "{name}");
        }
        for name in ["hidden", "web.two", "one", ".one", "", "web."] {
            assert_eq!(find(name), "", "{name}");
        }
        assert_eq!(names.name_of("asker", web.ip.unwrap()).unwrap(), "Web.one");
        assert_eq!(names.name_of("asker", other.ip.unwrap()), None);
        names.insert(&endpoint("asker", "two", "10.2.0.3", &["asker"]));
        assert_eq!(find("hidden"), "10.2.0.2");
        assert_eq!(names.addresses("asker", "www").len(), 2);
        assert!(names.remove(&web));
        assert_eq!(find("web"), "");
        assert!(!names.remove(&asker));
    }

    #[test]
    fn the_way_out() {
        let names = Names::default();
        names.insert(&endpoint("a", "inner", "10.3.0.2", &["a"]));
        assert!(!names.leads_out("a"));
        names.insert(&endpoint("a", "one", "10.1.0.2", &["a"]));
        assert!(names.leads_out("a"));
    }
}

//! Who is called what, network by network.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{PoisonError, RwLock};

use crate::EndpointState;

/// Names of the endpoints of all networks. Lookups ignore case.
#[derive(Debug, Default)]
pub(crate) struct Names {
    networks: RwLock<HashMap<String, Vec<Entry>>>,
}

#[derive(Debug, Clone)]
struct Entry {
    endpoint: String,
    network: String,
    ip: Ipv4Addr,
    /// In lower case; the first is the container's name.
    names: Vec<String>,
}

impl Names {
    /// Adds an endpoint, replacing what was known of it.
    pub(crate) fn insert(&self, state: &EndpointState) {
        let Some(ip) = state.ip.filter(|_| !state.names.is_empty()) else { return };
        let entry = Entry {
            endpoint: state.id.clone(),
            network: state.network.clone(),
            ip,
            names: state.names.iter().map(|name| name.to_lowercase()).collect(),
        };
        let mut networks = self.networks.write().unwrap_or_else(PoisonError::into_inner);
        let entries = networks.entry(state.network_id.clone()).or_default();
        entries.retain(|e| e.endpoint != state.id);
        entries.push(entry);
    }

    /// Removes an endpoint.
    pub(crate) fn remove(&self, state: &EndpointState) {
        let mut networks = self.networks.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = networks.get_mut(&state.network_id) {
            entries.retain(|e| e.endpoint != state.id);
            if entries.is_empty() {
                networks.remove(&state.network_id);
            }
        }
    }

    /// Addresses of all endpoints called `name`, or `name.network`, in the first of these networks that knows
    /// it.
    pub(crate) fn addresses(&self, networks: &[String], name: &str) -> Vec<Ipv4Addr> {
        let name = name.trim_end_matches('.').to_lowercase();
        let known = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        let in_network = |entries: &Vec<Entry>| -> Vec<Ipv4Addr> {
            let called = |e: &&Entry| {
                e.names.contains(&name)
                    || name
                        .strip_suffix(&e.network.to_lowercase())
                        .and_then(|rest| rest.strip_suffix('.'))
                        .is_some_and(|short| e.names.iter().any(|n| n == short))
            };
            entries.iter().filter(called).map(|e| e.ip).collect()
        };
        let mut found = networks.iter().filter_map(|id| known.get(id)).map(in_network);
        found.find(|ips| !ips.is_empty()).unwrap_or_default()
    }

    /// `name.network` of the endpoint with this address in one of these networks.
    pub(crate) fn name_of(&self, networks: &[String], ip: Ipv4Addr) -> Option<String> {
        let known = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        let entries = networks.iter().filter_map(|id| known.get(id)).flatten();
        let entry = entries.into_iter().find(|e| e.ip == ip)?;
        Some(format!("{}.{}", entry.names.first()?, entry.network))
    }
}

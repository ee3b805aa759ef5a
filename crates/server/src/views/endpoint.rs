//! A container's endpoints: what was asked for and, while it runs, what it got.

use std::collections::BTreeMap;

use wharf_api::container::EndpointSettings;
use wharf_engine::container::{Container, Endpoint};

/// All endpoints by network name, as `inspect` shows them.
pub(crate) fn all(container: &Container) -> BTreeMap<String, EndpointSettings> {
    container.networks.iter().map(|(name, endpoint)| (name.clone(), settings(endpoint))).collect()
}

/// All endpoints by network name, as the list shows them: without names.
pub(crate) fn all_brief(container: &Container) -> BTreeMap<String, EndpointSettings> {
    let brief =
        |endpoint| EndpointSettings { aliases: None, dns_names: None, links: None, ..settings(endpoint) };
    container.networks.iter().map(|(name, endpoint)| (name.clone(), brief(endpoint))).collect()
}

fn settings(endpoint: &Endpoint) -> EndpointSettings {
    let mut settings = endpoint.settings.clone();
    let Some(state) = &endpoint.state else { return settings };
    let text =
        |address: Option<std::net::Ipv4Addr>| address.map(|address| address.to_string()).unwrap_or_default();
    settings.network_id.clone_from(&state.network_id);
    settings.endpoint_id.clone_from(&state.id);
    settings.gateway = text(state.gateway);
    settings.ip_address = text(state.ip);
    settings.ip_prefix_len = if state.ip.is_some() { state.prefix.into() } else { 0 };
    settings.mac_address = state.mac.map(|mac| mac.to_string()).unwrap_or_default();
    settings
}

//! A container's endpoints: what was asked for and, while it runs, what it got.

use std::collections::BTreeMap;

use wharf_api::container::EndpointSettings;
use wharf_engine::container::{Container, Endpoint};
use wharf_engine::short_id;

/// All endpoints by network name, as `inspect` shows them.
pub(crate) fn all(container: &Container) -> BTreeMap<String, EndpointSettings> {
    let shown = |(name, endpoint): (&String, &Endpoint)| {
        let mut settings = settings(endpoint);
        settings.dns_names = dns_names(container, name, &settings);
        (name.clone(), settings)
    };
    container.networks.iter().map(shown).collect()
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

/// Names that other containers of the network may look up. They are known from the first start on, also while the
/// container does not run.
fn dns_names(container: &Container, network: &str, settings: &EndpointSettings) -> Option<Vec<String>> {
    if matches!(network, "bridge" | "host" | "none") || settings.network_id.is_empty() {
        return None;
    }
    let mut names = vec![container.name.clone()];
    let aliases = settings.aliases.iter().flatten().map(String::as_str);
    for name in aliases.chain([short_id(&container.id), container.config.hostname.as_str()]) {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_outlive_a_run() {
        let mut container =
            Container { id: "0123456789abcdef".to_owned(), name: "web".to_owned(), ..Container::default() };
        container.config.hostname = "0123456789ab".to_owned();
        let mut endpoint = Endpoint::default();
        endpoint.settings.aliases = Some(vec!["a".to_owned(), "web".to_owned()]);
        let names = |container: &Container| all(container)["net"].dns_names.clone();
        container.networks.insert("net".to_owned(), endpoint.clone());
        assert_eq!(names(&container), None);
        endpoint.settings.network_id = "1".to_owned();
        container.networks.insert("net".to_owned(), endpoint.clone());
        assert_eq!(names(&container).unwrap(), ["web", "a", "0123456789ab"]);
        container.networks.insert("bridge".to_owned(), endpoint);
        assert_eq!(all(&container)["bridge"].dns_names, None);
        assert!(all_brief(&container)["net"].aliases.is_none());
    }
}

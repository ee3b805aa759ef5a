//! Networks as `inspect` and the list show them.

use std::collections::BTreeMap;

use wharf_api::network::{ConfigReference, EndpointResource, Ipam, IpamConfig, Network};
use wharf_api::time::rfc3339_nano;
use wharf_engine::Engine;
use wharf_engine::network::{NetworkRecord, PoolRecord};

/// The answer of `GET /networks/{id}`. In the list nobody is told who is connected.
pub(crate) fn network(engine: &Engine, record: NetworkRecord, with_containers: bool) -> Network {
    let containers = if with_containers { containers(engine, &record) } else { BTreeMap::new() };
    Network {
        id: record.id,
        created: rfc3339_nano(record.created),
        scope: "local".to_owned(),
        driver: record.driver.to_string(),
        enable_ipv4: true,
        enable_ipv6: false,
        ipam: Ipam {
            driver: "default".to_owned(),
            // compat: networks without address management have no configuration at all.
            config: Some(record.ipam.pools.iter().map(pool).collect())
                .filter(|_: &Vec<_>| !record.bridge.is_empty()),
            options: record.ipam.options,
        },
        internal: record.internal,
        attachable: record.attachable,
        ingress: false,
        config_from: ConfigReference::default(),
        config_only: false,
        containers,
        options: Some(record.options),
        labels: Some(record.labels),
        name: record.name,
    }
}

fn pool(pool: &PoolRecord) -> IpamConfig {
    IpamConfig {
        subnet: pool.subnet.to_string(),
        ip_range: pool.ip_range.map(|range| range.to_string()).unwrap_or_default(),
        gateway: if pool.show_gateway { pool.gateway.to_string() } else { String::new() },
        auxiliary_addresses: pool
            .aux
            .iter()
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect(),
    }
}

fn containers(engine: &Engine, record: &NetworkRecord) -> BTreeMap<String, EndpointResource> {
    let endpoint = |container: &wharf_engine::container::Container| {
        let mut states = container.networks.values().filter_map(|endpoint| endpoint.state.as_ref());
        let state = states.find(|state| state.network_id == record.id)?;
        Some(EndpointResource {
            name: container.name.clone(),
            endpoint_id: state.id.clone(),
            mac_address: state.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            ipv4_address: state.ip.map(|ip| format!("{ip}/{}", state.prefix)).unwrap_or_default(),
            ipv6_address: String::new(),
        })
    };
    let users = engine.network_users(record);
    users.iter().filter_map(|user| Some((user.id.clone(), endpoint(user)?))).collect()
}

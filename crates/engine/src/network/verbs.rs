//! Verbs of networks: create, list, inspect, remove, prune, connect and disconnect.

use std::{collections::BTreeMap, fs::File, os::fd::AsFd, path::PathBuf, sync::Arc};

use wharf_api::{
    container::EndpointSettings,
    network::{CreateRequest, IpamConfig},
};
use wharf_net::{NetworkRecord, NetworkSpec, PoolSpec};

use crate::{
    Engine, Error, Result,
    container::{Container, Endpoint},
};

impl Engine {
    /// All networks by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn networks(&self) -> Result<Vec<NetworkRecord>> {
        Ok(self.net.networks()?)
    }

    /// The network of this name, id or unique id prefix.
    ///
    /// # Errors
    /// There is none.
    pub fn network(&self, name: &str) -> Result<NetworkRecord> {
        Ok(self.db.read(|view| self.net.find(view, name))?)
    }

    /// Containers that run in a network.
    pub fn network_users(&self, network: &NetworkRecord) -> Vec<Arc<Container>> {
        let uses = |container: &Arc<Container>| {
            let mut states = container.networks.values().filter_map(|endpoint| endpoint.state.as_ref());
            container.state.status.has_process() && states.any(|state| state.network_id == network.id)
        };
        self.containers.all().into_iter().map(|entry| entry.get()).filter(uses).collect()
    }

    /// Makes a network; returns its id.
    ///
    /// # Errors
    /// A name in use, an unknown driver or option, or a subnet that cannot be had.
    pub fn create_network(&self, request: CreateRequest) -> Result<String> {
        if request.name.trim().is_empty() {
            return Err(Error::invalid("invalid name: name is empty"));
        }
        if request.driver == "overlay" {
            return Err(Error::new(
                wharf_api::ErrorKind::Forbidden,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
            ));
        }
        let network = self.db.write(|tx| self.net.create_network(tx, network_spec(request)))?;
        self.publish_network("create", &network, None);
        Ok(network.id)
    }

    /// Removes a network that no running container uses.
    ///
    /// # Errors
    /// No such network, a predefined one, or one in use (403).
    pub fn remove_network(&self, name: &str) -> Result<()> {
        let network = self.network(name)?;
        if network.predefined {
            return Err(Error::forbidden(format!(
                "{} is a pre-defined network and cannot be removed",
                network.name
            )));
        }
        let users = self.network_users(&network);
        if !users.is_empty() {
            let users: Vec<_> = users
                .iter()
                .map(|user| format!("name:\"{}\" id:\"{}\"", user.name, crate::short_id(&user.id)))
                .collect();
            return Err(Error::forbidden(format!(
                "error while removing network: network {} has active endpoints ({})",
                network.name,
                users.join(", ")
            )));
        }
        self.db.write(|tx| self.net.remove_network(tx, &network.id))?;
        self.publish_network("destroy", &network, None);
        Ok(())
    }

    /// Removes all networks that no container refers to and that `matches` accepts; returns their names.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn prune_networks(&self, matches: impl Fn(&NetworkRecord) -> bool) -> Result<Vec<String>> {
        let referred: Vec<_> = self.containers.all().into_iter().map(|entry| entry.get()).collect();
        let idle = |network: &NetworkRecord| {
            let names = |container: &Arc<Container>| container.networks.contains_key(&network.name);
            !network.predefined && !referred.iter().any(names)
        };
        let mut removed = Vec::new();
        for network in self.networks()?.into_iter().filter(|network| idle(network) && matches(network)) {
            match self.remove_network(&network.id) {
                Ok(()) => removed.push(network.name),
                // Somebody began to use it in between.
                Err(error) => tracing::debug!(network = %network.name, %error, "not pruned"),
            }
        }
        Ok(removed)
    }

    /// Puts a container into one more network, at once if it runs.
    ///
    /// # Errors
    /// No such network or container, settings that do not fit, or the kernel refuses.
    pub fn connect_network(&self, network: &str, name: &str, settings: EndpointSettings) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid("invalid name or ID supplied: \"\""));
        }
        let network = self.network(network)?;
        let entry = self.containers.find(name)?;
        let _guard = entry.lock();
        let mut container = (*entry.get()).clone();
        super::endpoints::check_addresses(&network, &settings)?;
        if container.networks.contains_key(&network.name) {
            return Err(Error::forbidden(format!(
                "endpoint with name {} already exists in network {}",
                container.name, network.name
            )));
        }
        if container.network_container().is_some() || container.host_config.network_mode == "host" {
            return Err(Error::forbidden(
                "container cannot be connected to additional networks: it shares its network",
            ));
        }
        container.networks.insert(network.name.clone(), Endpoint { settings, state: None });
        if container.state.status.has_process() {
            self.connect_now(&mut container, &network)?;
        }
        self.db.write(|tx| crate::tables::CONTAINERS.put(tx, &container.id, &container))?;
        let container = entry.publish(container);
        self.publish_network("connect", &network, Some(&container.id));
        Ok(())
    }

    fn connect_now(&self, container: &mut Container, network: &NetworkRecord) -> Result<()> {
        let used: Vec<_> =
            container.networks.values().filter_map(|endpoint| endpoint.state.clone()).collect();
        let mut state = self.allocate(container, &network.name)?;
        state.interface = wharf_net::free_interface_name(&used);
        let path = PathBuf::from(format!("/proc/{}/ns/net", container.state.pid));
        let attached = File::open(&path).map_err(|error| Error::io("open", &path, error)).and_then(|netns| {
            self.net.attach(&state, netns.as_fd())?;
            self.serve_names(container, netns.as_fd())
        });
        if let Err(error) = attached {
            self.give_back(&state);
            return Err(error);
        }
        if let Some(endpoint) = container.networks.get_mut(&network.name) {
            endpoint.settings.network_id.clone_from(&state.network_id);
            endpoint.state = Some(state);
        }
        Ok(())
    }

    /// Takes a container out of a network.
    ///
    /// # Errors
    /// No such network or container, or it is not connected (500, as Docker has it).
    pub fn disconnect_network(&self, network: &str, name: &str) -> Result<()> {
        let network = self.network(network)?;
        let entry = self.containers.find(name)?;
        let _guard = entry.lock();
        let mut container = (*entry.get()).clone();
        let Some(endpoint) = container.networks.remove(&network.name) else {
            return Err(Error::system(format!(
                "container {} is not connected to network {}",
                container.id, network.name
            )));
        };
        if let Some(state) = endpoint.state {
            self.give_back(&state);
            self.net.detach(&state)?;
        }
        self.db.write(|tx| crate::tables::CONTAINERS.put(tx, &container.id, &container))?;
        let container = entry.publish(container);
        self.publish_network("disconnect", &network, Some(&container.id));
        Ok(())
    }

    fn publish_network(&self, action: &str, network: &NetworkRecord, container: Option<&str>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), network.name.clone()),
            ("type".to_owned(), network.driver.to_string()),
        ]);
        attributes.extend(container.map(|id| ("container".to_owned(), id.to_owned())));
        self.events.publish("network", action, &network.id, attributes);
    }
}

fn network_spec(request: CreateRequest) -> NetworkSpec {
    let ipam = request.ipam.unwrap_or_default();
    let pool = |config: IpamConfig| PoolSpec {
        subnet: config.subnet,
        ip_range: config.ip_range,
        gateway: config.gateway,
        aux: config.auxiliary_addresses,
    };
    NetworkSpec {
        name: request.name,
        driver: request.driver,
        ipam: ipam.config.into_iter().flatten().map(pool).collect(),
        ipam_options: ipam.options,
        internal: request.internal,
        attachable: request.attachable,
        enable_ipv6: request.enable_ipv6.unwrap_or_default(),
        options: request.options.unwrap_or_default(),
        labels: request.labels.unwrap_or_default(),
    }
}

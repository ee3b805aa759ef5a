//! A container's endpoints over one run: allocated before it starts, connected while it is held at its start barrier,
//! given back when it ends.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use wharf_api::container::{EndpointSettings, HostConfig, NetworkingConfig};
use wharf_net::{
    DnsConfig, EndpointSpec, EndpointState, NetworkRecord, PortRequest, Protocol, check_endpoint,
    choose_default_route,
    files::{DnsOverrides, HostLine, Hosts, ResolvConf, Resolver, hosts, resolv_conf, upstreams},
    publish_all,
};

use crate::{
    Engine, Error, Result,
    container::{Container, Endpoint},
    ids::short_id,
};

/// Words before the network's own when a start fails at it.
const SETUP_FAILED: &str = "failed to set up container networking: ";

/// What a container asks of each network it will be in: its network mode and the client's endpoint settings.
pub(crate) fn wanted_endpoints(
    host: &HostConfig,
    networking: NetworkingConfig,
) -> BTreeMap<String, Endpoint> {
    let mode = &host.network_mode;
    let mut endpoints = BTreeMap::new();
    if mode.starts_with("container:") {
        return endpoints;
    }
    for (name, settings) in networking.endpoints_config {
        // `default` is how clients name the default network before they know it.
        let name = if name == "default" { mode.clone() } else { name };
        endpoints.insert(name, Endpoint { settings: settings.unwrap_or_default(), state: None });
    }
    endpoints.entry(mode.clone()).or_default();
    endpoints
}

/// Checks the fixed addresses that a container wants on a network.
///
/// # Errors
/// All that is wrong with them.
pub(super) fn check_addresses(network: &NetworkRecord, settings: &EndpointSettings) -> Result<()> {
    let Some(ipam) = &settings.ipam_config else { return Ok(()) };
    Ok(check_endpoint(network, &ipam.ipv4_address, &ipam.ipv6_address)?)
}

impl Engine {
    /// Checks the endpoints of a container that is to be created. A network that does not exist yet is no error: it is
    /// looked for when the container starts.
    ///
    /// # Errors
    /// Fixed addresses that do not fit.
    pub(crate) fn check_endpoints(&self, endpoints: &BTreeMap<String, Endpoint>) -> Result<()> {
        for (name, endpoint) in endpoints {
            let Ok(network) = self.network(name) else { continue };
            check_addresses(&network, &endpoint.settings)
                .map_err(|error| error.context(format!("invalid config for network {name}: ")))?;
        }
        Ok(())
    }

    /// Reserves addresses and host ports on every network of the container.
    ///
    /// # Errors
    /// A network that is gone, no free address, or a host port in use.
    pub(crate) fn allocate_networks(&self, container: &mut Container) -> Result<()> {
        let mut states = Vec::new();
        for name in container.networks.keys() {
            match self.allocate(container, name) {
                Ok(state) => states.push(state),
                Err(error) => {
                    states.iter().for_each(|state| self.give_back(state));
                    return Err(error.context(SETUP_FAILED));
                }
            }
        }
        choose_default_route(&mut states);
        for (endpoint, state) in container.networks.values_mut().zip(states) {
            endpoint.settings.network_id.clone_from(&state.network_id);
            endpoint.state = Some(state);
        }
        Ok(())
    }

    pub(super) fn allocate(&self, container: &Container, name: &str) -> Result<EndpointState> {
        let network = self.network(name)?;
        let spec = endpoint_spec(container, &network, name)?;
        Ok(self.db.write(|tx| self.net.allocate(tx, name, spec))?)
    }

    /// Sets up what was allocated, in the network namespace of the process `pid`.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn connect_networks(&self, container: &mut Container, pid: i32) -> Result<()> {
        if container.network_container().is_some() || container.host_config.network_mode == "host" {
            return Ok(());
        }
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let netns = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let failed = |error| Error::from(error).context(SETUP_FAILED);
        // Ports are published on the one network that leads outside.
        let mut ports = port_requests(container)?;
        for state in container.networks.values_mut().filter_map(|endpoint| endpoint.state.as_mut()) {
            self.net.attach(state, netns.as_fd()).map_err(failed)?;
            if state.default_route {
                self.net.publish(state, &std::mem::take(&mut ports)).map_err(failed)?;
            }
        }
        self.serve_names(container, netns.as_fd())
    }

    /// Starts the container's name server if it is in a network that has names.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn serve_names(&self, container: &Container, netns: BorrowedFd<'_>) -> Result<()> {
        if !self.has_names(container) || self.net.serves_dns(&container.id) {
            return Ok(());
        }
        let host_text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let links =
            self.links(container).into_iter().map(|link| (link.alias, link.target.name.clone())).collect();
        let config = DnsConfig {
            upstreams: upstreams(&ResolvConf::parse(&host_text), &self.dns_overrides(container)),
            links,
        };
        self.net
            .serve_dns(&container.id, netns, config)
            .map_err(|error| Error::from(error).context(SETUP_FAILED))
    }

    fn has_names(&self, container: &Container) -> bool {
        container.networks.keys().any(|name| self.network(name).is_ok_and(|network| network.has_dns()))
    }

    /// Starts the name servers of running containers again, which ended with the engine before this one.
    pub(crate) fn restore_names(&self) {
        let containers = self.containers.all().into_iter().map(|entry| entry.get());
        for container in containers.filter(|container| container.state.status.has_process()) {
            let path = PathBuf::from(format!("/proc/{}/ns/net", container.state.pid));
            let served = File::open(&path)
                .map_err(|error| Error::io("open", &path, error))
                .and_then(|netns| self.serve_names(&container, netns.as_fd()));
            if let Err(error) = served {
                tracing::warn!(container = %container.id, %error, "the container is without name server");
            }
        }
    }

    /// Gives back everything the container has on its networks.
    pub(crate) fn disconnect_all(&self, container: &Container) {
        let shared = self.is_network_shared(container);
        for state in container.networks.values().filter_map(|endpoint| endpoint.state.as_ref()) {
            self.give_back(state);
            if shared && let Err(error) = self.net.detach(state) {
                tracing::warn!(endpoint = %state.id, %error, "removing an interface");
            }
        }
    }

    /// Whether another container that runs is in this one's network namespace and so keeps it.
    fn is_network_shared(&self, container: &Container) -> bool {
        let others = self.containers.all().into_iter().map(|entry| entry.get());
        others.filter(|other| other.state.status.has_process()).any(|other| {
            let owner = other.network_container().and_then(|name| self.containers.find(name).ok());
            owner.is_some_and(|owner| owner.get().id == container.id)
        })
    }

    /// The interfaces vanish with the container's namespace; only what outlives it is taken back.
    pub(super) fn give_back(&self, state: &EndpointState) {
        self.net.forget_names(state);
        let unpublished = self.net.unpublish(state);
        let released = self.db.write(|tx| self.net.release(tx, state));
        if let Err(error) = unpublished.and(released) {
            tracing::warn!(endpoint = %state.id, %error, "releasing an endpoint");
        }
    }

    /// Text of the container's `/etc/hosts`. `host_file` reads the host's own, for a container in the host's network.
    ///
    /// # Errors
    /// The host's file cannot be read.
    pub(crate) fn hosts_text(
        &self,
        container: &Container,
        host_file: impl FnOnce() -> Result<String>,
    ) -> Result<String> {
        let host = &container.host_config;
        let extra = self.extra_hosts(container);
        if host.network_mode == "host" && extra.is_empty() {
            return host_file();
        }
        let own =
            container.networks.values().filter_map(|endpoint| endpoint.state.as_ref()?.ip).map(IpAddr::V4);
        Ok(hosts(&Hosts {
            extra,
            links: self.links(container).into_iter().filter_map(|link| link.hosts_line()).collect(),
            own: own.collect(),
            hostname: container.config.hostname.clone(),
            domainname: container.config.domainname.clone(),
        }))
    }

    /// The lines of `--add-host`; `host-gateway` stands for the host's address on the default bridge.
    fn extra_hosts(&self, container: &Container) -> Vec<HostLine> {
        let gateway = || {
            let bridge = self.network("bridge").ok()?;
            Some(IpAddr::V4(bridge.pool()?.gateway))
        };
        let line = |entry: &String| {
            let (name, ip) = entry.split_once(':')?;
            let ip =
                if ip == "host-gateway" { gateway()? } else { ip.trim_matches(['[', ']']).parse().ok()? };
            Some(HostLine { ip, names: vec![name.to_owned()] })
        };
        container.host_config.extra_hosts.iter().flatten().filter_map(line).collect()
    }

    /// Text of the container's `/etc/resolv.conf`, from the host's and the container's own settings.
    pub(crate) fn resolv_conf_text(&self, container: &Container, host_text: &str) -> String {
        let host = &container.host_config;
        let overrides = self.dns_overrides(container);
        let embedded = self.has_names(container);
        let resolver = match host.network_mode.as_str() {
            _ if embedded => Resolver::Embedded,
            "host" => Resolver::Host,
            _ => Resolver::Direct,
        };
        resolv_conf(resolver, &ResolvConf::parse(host_text), &overrides)
    }

    /// The container's own settings for name resolution, each the engine's where it has none.
    fn dns_overrides(&self, container: &Container) -> DnsOverrides {
        let (host, engine) = (&container.host_config, &self.config);
        let or = |own: &Option<Vec<String>>, default: &Vec<String>| {
            own.clone().filter(|own| !own.is_empty()).unwrap_or_else(|| default.clone())
        };
        let servers = or(&host.dns, &engine.dns);
        DnsOverrides {
            servers: servers.iter().filter_map(|server| server.parse().ok()).collect(),
            search: or(&host.dns_search, &engine.dns_search),
            options: or(&host.dns_options, &engine.dns_options),
        }
    }

    /// The containers that `--link` names, with the alias each has.
    fn links(&self, container: &Container) -> Vec<Link> {
        let link = |text: &String| {
            let (name, alias) = text.split_once(':').unwrap_or((text, text));
            let target = self.containers.find(name).ok()?.get();
            let alias = if alias.is_empty() { name } else { alias };
            Some(Link { alias: alias.trim_start_matches('/').to_owned(), target })
        };
        container.host_config.links.iter().flatten().filter_map(link).collect()
    }

    /// The variables that describe linked containers.
    pub(crate) fn link_environment(&self, container: &Container) -> Vec<String> {
        self.links(container).iter().flat_map(|link| link.environment(&container.name)).collect()
    }

    /// The endpoints of all containers that run.
    pub(crate) fn running_endpoints(&self) -> Vec<EndpointState> {
        let containers = self.containers.all().into_iter().map(|entry| entry.get());
        let running = containers.filter(|container| container.state.status.has_process());
        running
            .flat_map(|container| {
                container.networks.values().filter_map(|e| e.state.clone()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Rebuilds bridges, rules and held ports from the records of what runs, and removes what belongs to nobody.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn restore_networks(&self) -> Result<()> {
        Ok(self.net.restore(&self.running_endpoints())?)
    }
}

/// What a container asks of `network`, which it knows as `name`.
fn endpoint_spec(container: &Container, network: &NetworkRecord, name: &str) -> Result<EndpointSpec> {
    let settings = &container.networks[name].settings;
    let config = &container.config;
    let wanted_ip = settings.ipam_config.as_ref().map(|ipam| ipam.ipv4_address.as_str()).unwrap_or_default();
    let mac = [&settings.mac_address, &config.mac_address].into_iter().find(|mac| !mac.is_empty());
    Ok(EndpointSpec {
        container_id: container.id.clone(),
        container_name: container.name.clone(),
        ip: (!wanted_ip.is_empty()).then(|| wanted_ip.parse::<Ipv4Addr>()).transpose().map_err(|_| {
            Error::invalid(format!("invalid endpoint settings:\ninvalid IPv4 address: {wanted_ip}"))
        })?,
        mac: mac.map(|mac| mac.parse()).transpose()?,
        names: if network.has_dns() { names(container, settings) } else { Vec::new() },
        interface: interface(container, name),
        gw_priority: settings.gw_priority,
    })
}

/// What other containers of a network can call the container: its name, aliases, short id and host name.
pub(crate) fn names(container: &Container, settings: &EndpointSettings) -> Vec<String> {
    let mut names = vec![container.name.clone()];
    let more = settings.aliases.iter().flatten().cloned();
    for name in more.chain([short_id(&container.id).to_owned(), container.config.hostname.clone()]) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// `eth0` for the first network, `eth1` for the next, in the order of their names.
fn interface(container: &Container, name: &str) -> String {
    let index = container.networks.keys().position(|other| other == name).unwrap_or_default();
    format!("eth{index}")
}

/// The ports of `-p`, and with `-P` all exposed ones.
fn port_requests(container: &Container) -> Result<Vec<PortRequest>> {
    let host = &container.host_config;
    let mut requests = Vec::new();
    for (key, bindings) in host.port_bindings.iter().flatten() {
        for binding in bindings.iter().flatten() {
            requests.push(port_request(key, &binding.host_ip, &binding.host_port)?);
        }
    }
    if host.publish_all_ports {
        let exposed = |key: &String| {
            let request = port_request(key, "", "")?;
            Ok::<_, Error>((request.container_port, request.protocol))
        };
        let exposed: Vec<_> = container.config.exposed_ports.keys().map(exposed).collect::<Result<_>>()?;
        requests.extend(publish_all(&exposed, &requests));
    }
    Ok(requests)
}

/// Reads `80/tcp`, a host address, and a host port, range or nothing.
fn port_request(key: &str, host_ip: &str, host_port: &str) -> Result<PortRequest> {
    let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let container_port =
        port.parse().map_err(|_| Error::invalid(format!("invalid port specification: {key:?}")))?;
    let invalid = || Error::invalid(format!("invalid port specification: \"{host_port}\""));
    let host_ports = if host_port.is_empty() {
        (0, 0)
    } else {
        let (first, last) = host_port.split_once('-').unwrap_or((host_port, host_port));
        (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?)
    };
    let protocol: Protocol = protocol.parse()?;
    let host_ip = host_ip.trim_matches(['[', ']']);
    let host_ip = (!host_ip.is_empty())
        .then(|| host_ip.parse())
        .transpose()
        .map_err(|_| Error::invalid(format!("invalid IP address {host_ip:?} in port binding")))?;
    Ok(PortRequest { container_port, protocol, host_ip, host_ports })
}

/// A container linked under an alias.
struct Link {
    alias: String,
    target: std::sync::Arc<Container>,
}

impl Link {
    fn ip(&self) -> Option<Ipv4Addr> {
        self.target.networks.values().find_map(|endpoint| endpoint.state.as_ref()?.ip)
    }

    fn hosts_line(&self) -> Option<HostLine> {
        let mut names = vec![self.alias.clone(), short_id(&self.target.id).to_owned()];
        if self.target.name != self.alias {
            names.push(self.target.name.clone());
        }
        Some(HostLine { ip: IpAddr::V4(self.ip()?), names })
    }

    /// `ALIAS_NAME`, `ALIAS_PORT…` and `ALIAS_ENV_…`, for a container called `name`.
    fn environment(&self, name: &str) -> Vec<String> {
        let Some(ip) = self.ip() else { return Vec::new() };
        let alias = self.alias.to_uppercase().replace('-', "_");
        let mut env = vec![format!("{alias}_NAME=/{name}/{}", self.alias)];
        let ports: Vec<_> =
            self.target.config.exposed_ports.keys().filter_map(|key| key.split_once('/')).collect();
        if let Some((port, protocol)) = ports.first() {
            env.push(format!("{alias}_PORT={protocol}://{ip}:{port}"));
        }
        for (port, protocol) in ports {
            let prefix = format!("{alias}_PORT_{port}_{}", protocol.to_uppercase());
            env.push(format!("{prefix}={protocol}://{ip}:{port}"));
            env.push(format!("{prefix}_ADDR={ip}"));
            env.push(format!("{prefix}_PORT={port}"));
            env.push(format!("{prefix}_PROTO={protocol}"));
        }
        for entry in self.target.config.env.iter().flatten() {
            if let Some((key, value)) =
                entry.split_once('=').filter(|(key, _)| !matches!(*key, "HOME" | "PATH"))
            {
                env.push(format!("{alias}_ENV_{key}={value}"));
            }
        }
        env
    }
}

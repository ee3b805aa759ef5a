//! [`Net`]: networks and endpoints, in the database and in the kernel.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::Ipv4Net;
use wharf_db::{Db, Tx};

use crate::dns::{Dns, DnsConfig};
use crate::ipam::{self, AddressPool, leases};
use crate::netlink::Socket;
use crate::nft::{Batch, Bridge, abandoned, interop};
use crate::ports::Ports;
use crate::publish::Published;
use crate::relay::Relay;
use crate::{
    Driver, EndpointSpec, EndpointState, Error, MacAddr, NetworkRecord, Result, bridge, hex_id, sysctl,
};

/// How an engine's networks are set up.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// Tells engines on one host apart: the nftables table and the aliases of bridges carry it.
    pub instance: String,
    /// Interface of the default bridge.
    pub bridge: String,
    /// Address and subnet of the default bridge; otherwise the first free pool.
    pub bip: Option<Ipv4Net>,
    /// MTU of the default bridge's links; 0 leaves the kernel's default.
    pub mtu: u32,
    /// Pools networks without a subnet get one from.
    pub pools: Vec<AddressPool>,
}

impl Default for NetConfig {
    fn default() -> Self {
        NetConfig {
            instance: "wharf".to_owned(),
            bridge: "wharf0".to_owned(),
            bip: None,
            mtu: 0,
            pools: ipam::default_pools(),
        }
    }
}

/// The networks of one engine.
///
/// Methods with a transaction change rows only, except that a network's bridge is made and removed with it;
/// the others change the kernel only. All are blocking.
#[derive(Debug)]
pub struct Net {
    pub(crate) config: NetConfig,
    pub(crate) db: Db,
    pub(crate) relay: Relay,
    state: Mutex<State>,
    dns: Dns,
}

#[derive(Debug)]
pub(crate) struct State {
    /// To nftables, for as long as the engine lives: closing it would wait for the kernel.
    pub(crate) netfilter: Socket,
    pub(crate) ports: Ports,
    /// What is published, by endpoint id.
    pub(crate) published: HashMap<String, Published>,
    /// Bridges that are up, by network id.
    bridges: HashMap<String, Bridge>,
}

impl Net {
    /// Opens the networks of an engine and makes the predefined ones the database does not have yet. Touches
    /// nothing in the kernel: [`Net::restore`] does, and has to be called before anything is attached.
    ///
    /// # Errors
    /// The database's, and [`Error::PoolsExhausted`] if the default bridge finds no subnet.
    pub fn open(config: NetConfig, db: Db) -> Result<Net> {
        let relay = Relay::new().map_err(|e| Error::kernel("creating the port relay", e))?;
        let dns = Dns::new().map_err(|e| Error::kernel("creating the name server", e))?;
        let netfilter = Socket::netfilter().map_err(|e| Error::kernel("opening a netfilter socket", e))?;
        let (published, bridges) = Default::default();
        let state = State { netfilter, ports: Ports::new(), published, bridges };
        let net = Net { config, db, relay, state: Mutex::new(state), dns };
        net.make_predefined()?;
        Ok(net)
    }

    pub(crate) fn table(&self) -> &str {
        &self.config.instance
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a container an endpoint in a network: an id, an address, a hardware address. Rows only.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AddressInUse`], [`Error::NoAddress`].
    pub fn allocate(&self, tx: &mut Tx<'_>, network: &str, spec: EndpointSpec) -> Result<EndpointState> {
        let network = self.find(tx, network)?;
        let id = hex_id();
        let mut state = EndpointState {
            network_id: network.id.clone(),
            network: network.name.clone(),
            driver: network.driver,
            container_id: spec.container_id,
            container_name: spec.container_name,
            gw_priority: spec.gw_priority,
            id,
            ..EndpointState::default()
        };
        let (Driver::Bridge, Some(pool)) = (network.driver, network.pool()) else { return Ok(state) };
        state.ip = Some(leases::take(tx, &network, &state.id, spec.ip)?);
        state.prefix = pool.subnet.prefix_len();
        state.gateway = (!network.internal).then_some(pool.gateway);
        state.default_route = state.gateway.is_some();
        state.mac = Some(spec.mac.unwrap_or_else(MacAddr::random));
        state.interface = if spec.interface.is_empty() { "eth0".to_owned() } else { spec.interface };
        state.veth = format!("veth{}", &state.id[..10]);
        state.bridge = network.bridge.clone();
        state.mtu = network.mtu();
        state.isolated = !network.icc();
        if network.has_dns() {
            state.names = spec.names;
        }
        Ok(state)
    }

    /// Gives an endpoint's address back. Rows only.
    ///
    /// # Errors
    /// The database's.
    pub fn release(&self, tx: &mut Tx<'_>, state: &EndpointState) -> Result<()> {
        match state.ip {
            Some(ip) => leases::give_back(tx, &state.network_id, &state.id, ip),
            None => Ok(()),
        }
    }

    /// Connects a container's network namespace: makes the veth pair with one end inside, sets address, routes
    /// and `lo` up. On host networks there is nothing to do, on `none` only `lo`.
    ///
    /// # Errors
    /// [`Error::Kernel`]; nothing is left behind then.
    pub fn attach(&self, state: &EndpointState, netns: BorrowedFd<'_>) -> Result<()> {
        bridge::attach(state, netns)?;
        if state.driver == Driver::Bridge
            && let Err(error) = self.recheck()
        {
            tracing::warn!(%error, "the container may be cut off");
        }
        self.dns.names().insert(state);
        Ok(())
    }

    /// Removes an endpoint's veth pair and names, as for a container that keeps running. Takes some
    /// milliseconds: for a container that ended, call it off the request path, where it finds the pair gone
    /// with the namespace unless another container still shares that.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn detach(&self, state: &EndpointState) -> Result<()> {
        self.forget_names(state);
        if state.veth.is_empty() { Ok(()) } else { bridge::remove_link(&state.veth) }
    }

    /// Takes an endpoint's names out of DNS at once, and with a container's last endpoint ends its server;
    /// [`Net::detach`] does so too.
    pub fn forget_names(&self, state: &EndpointState) {
        if self.dns.names().remove(state) {
            self.dns.stop(&state.container_id);
        }
    }

    /// Starts a container's name server at 127.0.0.11, or replaces it. To be called after the first
    /// [`Net::attach`] to a network with DNS ([`NetworkRecord::has_dns`]), and again after [`Net::restore`]. It
    /// ends with the container's last endpoint.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn serve_dns(&self, container_id: &str, netns: BorrowedFd<'_>, config: DnsConfig) -> Result<()> {
        let served = self.dns.serve(container_id, netns, config);
        served.map_err(|e| Error::kernel("starting the container's name server", e))
    }

    /// Whether a container has a name server.
    pub fn serves_dns(&self, container_id: &str) -> bool {
        self.dns.serves(container_id)
    }

    /// Replaces the names an endpoint is known by, after a rename.
    pub fn rename(&self, state: &mut EndpointState, container_name: &str, names: Vec<String>) {
        container_name.clone_into(&mut state.container_name);
        if !state.names.is_empty() {
            state.names = names;
        }
        self.dns.names().insert(state);
    }

    /// Makes `gateway` the default route of a running container, or leaves it without one.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn set_default_route(&self, netns: BorrowedFd<'_>, gateway: Option<Ipv4Addr>) -> Result<()> {
        bridge::set_default_route(netns, gateway)
    }

    /// Brings the kernel in line with the database and these endpoints of running containers: bridges, the
    /// whole table in one batch, host ports. Called once at boot; what is there already stays untouched, so
    /// that connections survive.
    ///
    /// # Errors
    /// [`Error::Kernel`]. A network that cannot be set up is logged and left out.
    pub fn restore(&self, endpoints: &[EndpointState]) -> Result<()> {
        if let Err(error) = sysctl::set("ipv4/ip_forward", "1") {
            tracing::warn!(%error, "IPv4 forwarding is not enabled: containers reach only this host");
        }
        let networks = self.networks()?;
        let mut inner = self.lock();
        inner.bridges.clear();
        for network in networks.iter().filter(|n| n.driver == Driver::Bridge) {
            match bridge::bring_up(network, &self.config.instance) {
                Ok(()) => inner.bridges.extend(firewall_view(network).map(|b| (network.id.clone(), b))),
                Err(error) => tracing::error!(%error, network = network.name, "a network is not set up"),
            }
        }
        for endpoint in endpoints {
            self.dns.names().insert(endpoint);
            if let Some(published) = self.hold_again(&mut inner.ports, endpoint) {
                inner.published.insert(endpoint.id.clone(), published);
            }
        }
        self.remove_abandoned(&mut inner);
        self.render(&mut inner)
    }

    /// Makes sure that another program's filter table lets our bridges pass, as when Docker was started after us
    /// and now drops what it does not know. Costs some 50 µs; each attach does it.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn recheck(&self) -> Result<()> {
        self.pass_foreign_filter(&mut self.lock())
    }

    fn pass_foreign_filter(&self, inner: &mut State) -> Result<()> {
        let names: Vec<_> = inner.bridges.values().map(|b| b.interface.as_str()).collect();
        interop::accept_bridges(&mut inner.netfilter, &self.config.instance, &names)
            .map_err(|e| Error::kernel("accepting our bridges in iptables' filter table", e))
    }

    /// Writes the whole table anew and re-checks that a foreign filter table lets our bridges pass.
    pub(crate) fn render(&self, inner: &mut State) -> Result<()> {
        let mut bridges: Vec<_> = inner.bridges.values().cloned().collect();
        bridges.sort_by(|a, b| a.interface.cmp(&b.interface));
        let ports: Vec<_> = inner.published.values().flat_map(Published::forwards).collect();
        let mut batch = Batch::new();
        batch.replace_table(self.table(), &bridges, &ports);
        batch
            .commit(&mut inner.netfilter)
            .map_err(|e| Error::kernel(format!("writing nftables table {}", self.table()), e))?;
        self.pass_foreign_filter(inner)
    }

    /// Sets a new network's bridge up.
    pub(crate) fn raise(&self, network: &NetworkRecord) -> Result<()> {
        if network.driver != Driver::Bridge {
            return Ok(());
        }
        bridge::bring_up(network, &self.config.instance)?;
        let mut inner = self.lock();
        inner.bridges.extend(firewall_view(network).map(|b| (network.id.clone(), b)));
        self.remove_abandoned(&mut inner);
        self.render(&mut inner)
    }

    /// Removes the tables of engines that are gone: a network may just have got a subnet they drop.
    fn remove_abandoned(&self, inner: &mut State) {
        let links = || Socket::route()?.links();
        match abandoned::remove_abandoned(&mut inner.netfilter, self.table(), links) {
            Ok(tables) => tables.iter().for_each(|table| tracing::info!(table, "removed an abandoned table")),
            Err(error) => tracing::warn!(%error, "looking for abandoned tables"),
        }
    }

    /// Takes a network's bridge away.
    pub(crate) fn lower(&self, network: &NetworkRecord) -> Result<()> {
        if network.driver != Driver::Bridge {
            return Ok(());
        }
        let mut inner = self.lock();
        inner.bridges.remove(&network.id);
        self.render(&mut inner)?;
        drop(inner);
        bridge::remove_link(&network.bridge)
    }

    /// Removes what no record accounts for: interfaces of unknown endpoints, bridges of unknown networks and
    /// leases. `endpoints` are those of running containers.
    ///
    /// # Errors
    /// [`Error::Kernel`], or the database's.
    pub fn sweep(&self, endpoints: &[EndpointState]) -> Result<()> {
        self.db.write(|tx| leases::retain(tx, |id| endpoints.iter().any(|e| e.id == id)))?;
        let known: Vec<_> = self.networks()?.into_iter().map(|n| n.bridge).collect();
        for name in self.our_links(&known, |veth| endpoints.iter().any(|e| e.veth == veth))? {
            tracing::info!(link = name, "removing an orphaned network interface");
            bridge::remove_link(&name)?;
        }
        Ok(())
    }

    /// Removes everything this engine has in the kernel: ports, interfaces, bridges, table, foreign rules.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn remove_all(&self) -> Result<()> {
        let mut inner = self.lock();
        inner.published.clear();
        inner.bridges.clear();
        inner.ports = Ports::new();
        let mut batch = Batch::new();
        batch.remove_table(self.table());
        batch
            .commit(&mut inner.netfilter)
            .map_err(|e| Error::kernel(format!("removing nftables table {}", self.table()), e))?;
        self.pass_foreign_filter(&mut inner)?;
        drop(inner);
        self.our_links(&[], |_| false)?.iter().try_for_each(|name| bridge::remove_link(name))
    }

    /// Our bridges other than `bridges`, and the ports of all our bridges for which `known` does not hold.
    fn our_links(&self, bridges: &[String], known: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let list = || Socket::route()?.links();
        let links = list().map_err(|e| Error::kernel("listing links", e))?;
        let alias = abandoned::mark(&self.config.instance);
        let ours: Vec<u32> = links.iter().filter(|l| l.alias == alias).map(|l| l.index).collect();
        let ports = links.iter().filter(|l| l.kind == "veth" && l.name.starts_with("veth"));
        let ports = ports.filter(|l| l.master.is_some_and(|m| ours.contains(&m)) && !known(&l.name));
        let orphans = links.iter().filter(|l| l.alias == alias && !bridges.contains(&l.name));
        Ok(ports.chain(orphans).map(|l| l.name.clone()).collect())
    }
}

fn firewall_view(network: &NetworkRecord) -> Option<Bridge> {
    let pool = network.pool()?;
    Some(Bridge {
        interface: network.bridge.clone(),
        subnet: pool.subnet,
        gateway: pool.gateway,
        internal: network.internal,
        masquerade: network.masquerade(),
        icc: network.icc(),
    })
}

//! The bridge driver's kernel side: bridges, veth pairs, and the container's end of them.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use crate::netlink::Socket;
use crate::netlink::link::{self, Link, PortSetting, VethPair};
use crate::nft::abandoned::mark;
use crate::{Driver, EndpointState, Error, MacAddr, NetworkRecord, Result, netns, sysctl};

static TURN: Mutex<()> = Mutex::new(());

/// Index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

/// Makes or adopts the bridge of a network, gives it the gateway's address and brings it up.
///
/// # Errors
/// [`Error::NotABridge`], or the kernel's.
pub(crate) fn bring_up(network: &NetworkRecord, instance: &str) -> Result<()> {
    let name = &network.bridge;
    let Some(pool) = network.pool() else { return Ok(()) };
    let failed = |e: io::Error| Error::kernel(format!("setting up bridge {name}"), e);
    let mut socket = Socket::route().map_err(failed)?;
    let bridge = match socket.link(name).map_err(failed)? {
        Some(link) if link.kind == "bridge" => link,
        Some(_) => return Err(Error::NotABridge(name.clone())),
        None => add(&mut socket, name, network.mtu(), instance).map_err(failed)?,
    };
    let address = Ipv4Net::new_assert(pool.gateway, pool.subnet.prefix_len());
    let mut changes = Vec::new();
    let present = socket.addresses(bridge.index).map_err(failed)?;
    changes.extend(present.iter().filter(|a| **a != address).map(|a| link::delete_address(bridge.index, *a)));
    if !present.contains(&address) {
        changes.push(link::add_address(bridge.index, address));
    }
    changes.push(link::up(bridge.index));
    socket.call_all(changes).map_err(failed)?;
    // Lets connections of the host to its own 127.0.0.1 leave by the bridge once their destination is
    // rewritten; the table's first rule keeps everybody else from using it.
    sysctl::set(&format!("ipv4/conf/{name}/route_localnet"), "1").map_err(failed)
}

fn add(socket: &mut Socket, name: &str, mtu: u32, instance: &str) -> io::Result<Link> {
    socket.add_bridge(name, mtu)?;
    let link = socket.link(name)?.ok_or(io::ErrorKind::NotFound)?;
    socket.set_alias(link.index, &mark(instance))?;
    Ok(link)
}

/// Removes a link by name; one that is gone is no error.
///
/// # Errors
/// The kernel's.
pub(crate) fn remove_link(name: &str) -> Result<()> {
    let delete = || Socket::route()?.delete_link(name);
    delete().map_err(|e| Error::kernel(format!("removing link {name}"), e))
}

/// Connects a network namespace to the endpoint's network.
///
/// # Errors
/// The kernel's; nothing is left behind.
pub(crate) fn attach(state: &EndpointState, netns: BorrowedFd<'_>) -> Result<()> {
    match state.driver {
        Driver::Host => Ok(()),
        Driver::Null => netns::inside(netns, || Socket::route()?.call_all(vec![link::up(LOOPBACK)]))
            .map_err(|e| Error::kernel("bringing up the loopback interface", e)),
        Driver::Bridge => attach_bridge(state, netns)
            .map_err(|e| Error::kernel(format!("connecting to bridge {}", state.bridge), e)),
    }
}

fn attach_bridge(state: &EndpointState, netns: BorrowedFd<'_>) -> io::Result<()> {
    let (Some(ip), Some(mac)) = (state.ip, state.mac) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut socket = Socket::route()?;
    let bridge = socket.link(&state.bridge)?.ok_or(io::ErrorKind::NotFound)?.index;
    let pair = VethPair {
        name: &state.veth,
        bridge,
        mtu: state.mtu,
        peer_name: &state.interface,
        peer_mac: mac,
        peer_netns: netns,
    };
    // All of this waits for one lock of the kernel, again and again: taking turns here instead is several times
    // faster when many containers start at once.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // The socket stays in the host's namespace wherever the thread goes.
    netns::inside(netns, || {
        socket.add_veth(&pair)?;
        let result = configure(&mut socket, state, ip, mac);
        if result.is_err() {
            let _ = socket.delete_link(&state.veth);
        }
        result
    })
}

/// The container's side, inside its namespace; `host` is a socket outside.
fn configure(host: &mut Socket, state: &EndpointState, ip: Ipv4Addr, mac: MacAddr) -> io::Result<()> {
    let name = &state.interface;
    // compat: an endpoint without an IPv6 address has no IPv6 at all, not even a link-local address.
    match sysctl::set(&format!("ipv6/conf/{name}/disable_ipv6"), "1") {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    sysctl::set(&format!("ipv4/conf/{name}/arp_notify"), "1")?;
    let mut socket = Socket::route()?;
    let index = socket.link(name)?.ok_or(io::ErrorKind::NotFound)?.index;
    let address = Ipv4Net::new(ip, state.prefix).map_err(io::Error::other)?;
    let mut changes = vec![link::up(LOOPBACK), link::add_address(index, address), link::up(index)];
    if let (Some(gateway), true) = (state.gateway, state.default_route) {
        changes.push(link::default_route(gateway));
    }
    socket.call_all(changes)?;
    if state.isolated {
        host.set_port(&state.veth, PortSetting::Isolated)?;
    }
    wait_until_operational(host, &state.veth)?;
    socket.call_all(vec![link::announce(index, mac)])
}

/// Waits for the kernel's link watch to notice that both ends are up, some hundred microseconds later: until then
/// the bridge drops the container's packets, and a lost ARP request is repeated only after a second.
fn wait_until_operational(host: &mut Socket, veth: &str) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        if host.link(veth)?.is_none_or(|link| link.operational) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    tracing::warn!(veth, "the bridge port is not forwarding yet");
    Ok(())
}

/// Lets a container reach its own published ports: where bridged packets pass the firewall, a rewritten one
/// leaves by the port it came from instead of being routed.
///
/// # Errors
/// The kernel's.
pub(crate) fn allow_hairpin(veth: &str) -> Result<()> {
    let set = || Socket::route()?.set_port(veth, PortSetting::Hairpin);
    set().map_err(|e| Error::kernel(format!("setting up bridge port {veth}"), e))
}

/// Makes `gateway` the default route of a running container, or removes its default route.
///
/// # Errors
/// The kernel's.
pub(crate) fn set_default_route(netns: BorrowedFd<'_>, gateway: Option<Ipv4Addr>) -> Result<()> {
    let change = || {
        let mut socket = Socket::route()?;
        let (message, flags) = gateway.map_or_else(link::delete_default_route, link::default_route);
        match socket.call(message, flags) {
            // There was none.
            Err(e) if gateway.is_none() && e.raw_os_error() == Some(3) => Ok(()),
            other => other,
        }
    };
    netns::inside(netns, change).map_err(|e| Error::kernel("setting the default route", e))
}

//! Publishing ports of endpoints: host ports chosen and held, translation in the kernel, a relay for the rest.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use crate::net::State;
use crate::netlink::Socket;
use crate::nft::{Batch, Forward, conntrack};
use crate::ports::{Held, Ports};
use crate::relay::Served;
use crate::{EndpointState, Error, Net, PortBinding, PortRequest, Protocol, Result, bridge};

#[derive(Debug)]
pub(crate) struct Published {
    target: Ipv4Addr,
    bindings: Vec<PortBinding>,
    /// Keeps other programs from the ports; some sockets are served by the relay.
    _holds: Vec<Hold>,
}

#[derive(Debug)]
enum Hold {
    Served { _served: Served },
    Bound { _socket: OwnedFd },
}

impl Published {
    /// What the firewall's maps hold for it.
    pub(crate) fn forwards(&self) -> Vec<Forward> {
        forwards(&self.bindings, self.target)
    }
}

impl Net {
    /// Publishes ports of an endpoint: chooses and holds the host ports, leads them to the container, and
    /// writes what was chosen into the state.
    ///
    /// # Errors
    /// [`Error::Publish`] with the reason; nothing is published then.
    pub fn publish(&self, state: &mut EndpointState, requests: &[PortRequest]) -> Result<()> {
        // A container nobody can route to has nothing to publish.
        let (Some(target), Some(_)) = (state.ip, state.gateway) else { return Ok(()) };
        if requests.is_empty() {
            return Ok(());
        }
        let default_ip =
            self.db.read(|tx| Ok::<_, Error>(self.find(tx, &state.network_id)?.host_binding()))?;
        let wrap = |source| Error::Publish {
            name: state.container_name.clone(),
            id: state.id.clone(),
            source: Box::new(source),
        };
        bridge::allow_hairpin(&state.veth).map_err(wrap)?;
        let mut inner = self.lock();
        let held = inner.ports.hold(requests, default_ip, target).map_err(wrap)?;
        let bindings: Vec<_> = held.iter().map(|h| h.binding).collect();
        let add = |inner: &mut State| {
            let mut batch = Batch::new();
            batch.add_ports(self.table(), &forwards(&bindings, target));
            batch
                .commit(&mut inner.netfilter)
                .map_err(|e| Error::kernel("adding published ports to the firewall", e))
        };
        let added = add(&mut inner).or_else(|error| match error {
            // Somebody flushed all rules of the host.
            Error::Kernel { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                self.render(&mut inner)?;
                add(&mut inner)
            }
            other => Err(other),
        });
        if let Err(e) = added {
            bindings.iter().for_each(|b| inner.ports.release(b));
            return Err(wrap(e));
        }
        forget_flows(&mut inner.netfilter, &bindings, target);
        let published = Published { target, bindings: bindings.clone(), _holds: self.serve(held, target) };
        inner.published.insert(state.id.clone(), published);
        state.ports = bindings;
        Ok(())
    }

    /// Takes an endpoint's published ports back.
    ///
    /// # Errors
    /// [`Error::Kernel`]; the host ports are free in any case.
    pub fn unpublish(&self, state: &EndpointState) -> Result<()> {
        let mut inner = self.lock();
        let Some(published) = inner.published.remove(&state.id) else { return Ok(()) };
        published.bindings.iter().for_each(|b| inner.ports.release(b));
        let mut batch = Batch::new();
        batch.remove_ports(self.table(), &published.forwards());
        let result = batch.commit(&mut inner.netfilter);
        forget_flows(&mut inner.netfilter, &published.bindings, published.target);
        match result {
            // Gone already, by a flush of all rules.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|e| Error::kernel("removing published ports from the firewall", e)),
        }
    }

    /// Holds the ports of an endpoint that an earlier engine published.
    pub(crate) fn hold_again(&self, ports: &mut Ports, endpoint: &EndpointState) -> Option<Published> {
        let target = endpoint.ip.filter(|_| !endpoint.ports.is_empty())?;
        let held = ports.hold_again(&endpoint.ports, target);
        Some(Published { target, bindings: endpoint.ports.clone(), _holds: self.serve(held, target) })
    }

    /// Puts holding sockets to work: what address translation does not cover goes through the relay.
    fn serve(&self, held: Vec<Held>, target: Ipv4Addr) -> Vec<Hold> {
        let mut holds = Vec::new();
        for Held { binding, socket } in held {
            let Some(socket) = socket else { continue };
            if binding.protocol == Protocol::Udp && binding.host_ip.is_ipv4() {
                holds.push(Hold::Bound { _socket: socket });
                continue;
            }
            let target = SocketAddrV4::new(target, binding.container_port);
            match self.relay.serve(binding.protocol, socket, target) {
                Ok(served) => holds.push(Hold::Served { _served: served }),
                Err(error) => {
                    tracing::warn!(%error, port = binding.host_port, "a published port is not relayed")
                }
            }
        }
        holds
    }
}

fn forwards(bindings: &[PortBinding], target: Ipv4Addr) -> Vec<Forward> {
    bindings.iter().map(|&binding| Forward { binding, target }).collect()
}

/// Forgets UDP flows to these host ports; see [`conntrack`].
fn forget_flows(netfilter: &mut Socket, bindings: &[PortBinding], target: Ipv4Addr) {
    let udp = |f: &Forward| f.binding.protocol == Protocol::Udp;
    let ports: Vec<_> = forwards(bindings, target).into_iter().filter(udp).collect();
    if let Err(error) = conntrack::forget(netfilter, &ports) {
        tracing::debug!(%error, "old flows are not forgotten");
    }
}

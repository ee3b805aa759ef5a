//! IPAM, network drivers, one nftables table, published ports, names.
//!
//! - [`Net`]: networks and endpoints, in the database and in the kernel; the way in
//! - [`record`](NetworkRecord): what a network is, and what its driver options mean
//! - [`endpoint`](EndpointState): one container's place in a network, its published ports
//! - [`files`]: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf` as pure text
//! - `ipam`: which subnet a network gets and which address an endpoint; leases as rows
//! - `bridge`, `netlink`: links, addresses and routes; `netns` runs code inside another namespace
//! - `nft`: the table of one engine, planned as a value and applied in atomic batches
//! - `publish`, `ports`, `relay`: host ports are chosen and held by sockets; connections that translation cannot
//!   serve are copied
//! - `dns`: the name server inside containers of user-defined networks
//! - [`Error`]: every failure, in Docker's words where Docker has them

mod bridge;
mod dns;
mod endpoint;
mod error;
pub mod files;
mod ipam;
mod net;
mod netlink;
mod netns;
mod network;
mod nft;
mod ports;
mod publish;
mod record;
mod relay;
mod sysctl;

pub use dns::DnsConfig;
pub use endpoint::{
    EndpointSpec, EndpointState, MacAddr, PortBinding, PortRequest, Protocol, choose_default_route,
    free_interface_name,
};
pub use error::{Error, Result};
pub use ipam::{AddressPool, check_endpoint, default_pools};
pub use net::{Net, NetConfig};
pub use ports::publish_all;
pub use record::{Driver, IpamRecord, NetworkRecord, NetworkSpec, PoolRecord, PoolSpec};

/// Bytes from the kernel's random generator.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // Cannot fail for N ≤ 256 once the generator is seeded; an interrupted call is repeated.
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
    }
    bytes
}

/// A new id of 64 hex digits.
pub(crate) fn hex_id() -> String {
    random_bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect()
}

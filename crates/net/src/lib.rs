//! IPAM, network drivers, one nftables table, published ports.
//!
//! - [`record`](NetworkRecord): what a network is, and what its driver options mean
//! - [`endpoint`](EndpointState): one container's place in a network, its published ports
//! - [`files`]: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf` as pure text
//! - [`Error`]: every failure, in Docker's words where Docker has them

#![allow(dead_code)]

mod endpoint;
mod error;
pub mod files;
mod record;

pub use endpoint::{EndpointSpec, EndpointState, MacAddr, PortBinding, PortRequest, Protocol};
pub use error::{Error, Result};
pub use record::{Driver, IpamRecord, NetworkRecord, NetworkSpec, PoolRecord, PoolSpec};

/// Bytes from the kernel's random generator.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // Cannot fail for N ≤ 256 once the generator is seeded; an interrupted call is repeated.
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

//! What can go wrong, in Docker's words where Docker has words for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::PortBinding;

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of network configuration, address management and the kernel calls behind them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network's address configuration does not hold together; one line per finding.
    #[error("invalid network config:\n{}", join_findings(.0))]
    InvalidConfig(Vec<String>),
    /// An endpoint's wanted settings do not fit its network; one line per finding.
    #[error("invalid endpoint settings:\n{}", join_findings(.0))]
    InvalidEndpoint(Vec<String>),
    /// A driver option with a value that cannot be used.
    #[error("{0}")]
    InvalidOption(String),
    /// The wanted subnet overlaps one that is in use.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    PoolOverlap,
    /// Every predefined pool overlaps a network or a route of the host.
    #[error("all predefined address pools have been fully subnetted")]
    PoolsExhausted,
    /// The network has no address left.
    #[error("no available IPv4 addresses on this network's address pools: {name} ({id})")]
    NoAddress {
        /// Network name.
        name: String,
        /// Network id.
        id: String,
    },
    /// The wanted address is held by another endpoint or reserved.
    #[error("Address already in use")]
    AddressInUse(IpAddr),
    /// The wanted gateway cannot be reserved.
    #[error("failed to allocate gateway ({0}): Address already in use")]
    GatewayInUse(Ipv4Addr),
    /// An auxiliary address cannot be reserved.
    #[error("failed to allocate secondary ip address ({name}:{ip}): Address already in use")]
    AuxInUse {
        /// Name of the auxiliary address.
        name: String,
        /// The address.
        ip: Ipv4Addr,
    },
    /// A network of this name exists.
    #[error("network with name {0} already exists")]
    NameTaken(String),
    /// No network has this name or id.
    #[error("network {0} not found")]
    NotFound(String),
    /// The driver is not one of bridge, host and null.
    #[error("plugin \"{0}\" not found")]
    UnknownDriver(String),
    /// host and null exist once.
    #[error("only one instance of \"{0}\" network is allowed")]
    SingleInstance(String),
    /// The interface a network is to use exists and is something else.
    #[error("existing interface {0} is not a bridge")]
    NotABridge(String),
    /// The interface name does not fit the kernel's 15 bytes.
    // compat: Docker hands out the kernel's errno text here.
    #[error("numerical result out of range")]
    InterfaceNameTooLong(String),
    /// A published port could not be set up for this endpoint.
    #[error("driver failed programming external connectivity on endpoint {name} ({id}): {source}")]
    Publish {
        /// Container name.
        name: String,
        /// Endpoint id.
        id: String,
        /// What failed.
        source: Box<Error>,
    },
    /// Another endpoint of this engine publishes that host port.
    #[error("Bind for {ip}:{port} failed: port is already allocated")]
    PortAllocated {
        /// Host address.
        ip: IpAddr,
        /// Host port.
        port: u16,
    },
    /// Every port of the wanted range is in use.
    #[error("all ports are allocated")]
    PortsExhausted,
    /// The host refuses the port: a foreign process holds it, or the address is not the host's.
    #[error("failed to bind host port for {binding}: {}", errno_text(.source))]
    BindPort {
        /// What was to be bound, as `host-ip:host-port:container-ip:container-port/protocol`.
        binding: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The database refused.
    #[error(transparent)]
    Db(#[from] wharf_db::Error),
    /// The network still has endpoints, or is one that cannot be removed.
    #[error("{0}")]
    Refused(String),
    /// A kernel call failed.
    #[error("{operation}: {source}")]
    Kernel {
        /// What was tried, with the object's name.
        operation: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn kernel(operation: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::Kernel { operation: operation.into(), source: source.into() }
    }

    pub(crate) fn bind(binding: &PortBinding, target: Ipv4Addr, source: io::Error) -> Error {
        let binding = format!(
            "{}:{}:{target}:{}/{}",
            binding.host_ip, binding.host_port, binding.container_port, binding.protocol
        );
        Error::BindPort { binding, source }
    }
}

/// Docker lists several findings with a star each and prints a single one bare.
fn join_findings(findings: &[String]) -> String {
    match findings {
        [one] => one.clone(),
        many => many.iter().map(|f| format!("* {f}")).collect::<Vec<_>>().join("\n"),
    }
}

/// Go's text for an errno: lower case, without the number Rust appends.
fn errno_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

//! Where the API is served: unix sockets, TCP, and sockets handed over by systemd.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::Gid;
use rustix::net::{AddressFamily, getsockname};

/// First descriptor that systemd hands over.
const FIRST_FD: RawFd = 3;

/// Group that may use the socket.
const GROUP: &str = "docker";

/// Port of `tcp://` without one.
const DEFAULT_PORT: u16 = 2375;

/// A value of `-H`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `unix:///path`.
    Unix(PathBuf),
    /// `tcp://address:port`.
    Tcp(String),
    /// `fd://` (all sockets that systemd handed over) or `fd://N` (one of them).
    Fd(Option<RawFd>),
}

/// Nothing can be served at a place.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The value of `-H` is not understood.
    #[error("invalid bind address ({0}): unsupported proto, expected unix://, tcp:// or fd://")]
    Host(String),
    /// Another daemon answers there.
    #[error("can't create unix socket {}: another daemon is listening on it", .0.display())]
    InUse(PathBuf),
    /// The socket cannot be made.
    #[error("can't listen on {host}")]
    Bind {
        /// Where.
        host: Host,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// systemd handed over no such socket.
    #[error("no sockets found via socket activation: make sure the service was started by systemd")]
    NoActivation,
}

/// A socket that accepts clients. The file of a unix socket made here is removed with it.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: ListenSocket,
    path: Option<PathBuf>,
}

#[derive(Debug)]
pub(crate) enum ListenSocket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl FromStr for Host {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Host, ListenError> {
        let unknown = || ListenError::Host(text.to_owned());
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Host::Unix(path.into())),
            Some(("tcp", address)) => Ok(Host::Tcp(with_defaults(address))),
            Some(("fd", "" | "*")) => Ok(Host::Fd(None)),
            Some(("fd", number)) => {
                number.parse().map(|number| Host::Fd(Some(number))).map_err(|_| unknown())
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Unix(path) => write!(f, "unix://{}", path.display()),
            Host::Tcp(address) => write!(f, "tcp://{address}"),
            Host::Fd(None) => f.write_str("fd://"),
            Host::Fd(Some(number)) => write!(f, "fd://{number}"),
        }
    }
}

fn with_defaults(address: &str) -> String {
    let address = address.trim_end_matches('/');
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (address, ""),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    if port.is_empty() { format!("{host}:{DEFAULT_PORT}") } else { format!("{host}:{port}") }
}

impl Host {
    /// Opens the sockets that this host stands for.
    ///
    /// # Errors
    /// The address is in use or may not be used, or systemd handed nothing over.
    pub fn listen(&self) -> Result<Vec<Listener>, ListenError> {
        let failed = |source| ListenError::Bind { host: self.clone(), source };
        match self {
            Host::Unix(path) => Ok(vec![bind_unix(path)?]),
            Host::Tcp(address) => {
                let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
                let socket = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
                Ok(vec![Listener { socket: ListenSocket::Tcp(socket), path: None }])
            }
            Host::Fd(wanted) => activated(*wanted).map_err(failed)?.ok_or(ListenError::NoActivation),
        }
    }
}

impl Listener {
    /// Wraps a unix socket that listens already.
    pub fn unix(socket: UnixListener) -> Listener {
        Listener { socket: ListenSocket::Unix(socket), path: None }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a unix socket, in the place of one that nobody listens on any more.
fn bind_unix(path: &Path) -> Result<Listener, ListenError> {
    let failed = |source| ListenError::Bind { host: Host::Unix(path.to_owned()), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    match UnixStream::connect(path) {
        Ok(_) => return Err(ListenError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)?
        }
        Err(_) => {}
    }
    let socket = UnixListener::bind(path).map_err(failed)?;
    let listener = Listener { socket: ListenSocket::Unix(socket), path: Some(path.to_owned()) };
    restrict(path).map_err(failed)?;
    Ok(listener)
}

/// Mode 0660, and the group's if there is such a group.
fn restrict(path: &Path) -> io::Result<()> {
    if let Some(group) = group_id(&fs::read_to_string("/etc/group").unwrap_or_default()) {
        match rustix::fs::chown(path, None, Some(Gid::from_raw(group))) {
            // Without the privilege the socket stays our own group's.
            Ok(()) | Err(rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))
}

fn group_id(groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(GROUP)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// Takes over the sockets of `LISTEN_FDS`, if they are for this process.
fn activated(wanted: Option<RawFd>) -> io::Result<Option<Vec<Listener>>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<RawFd>().ok();
    let for_us = number("LISTEN_PID").is_some_and(|pid| i64::from(pid) == i64::from(std::process::id()));
    let count = number("LISTEN_FDS").filter(|_| for_us).unwrap_or(0);
    let mut listeners = Vec::new();
    for fd in FIRST_FD..FIRST_FD.saturating_add(count) {
        if wanted.is_none_or(|wanted| wanted == fd) {
            listeners.push(adopt(wharf_sys::fd::adopt(fd)?)?);
        }
    }
    Ok(if listeners.is_empty() { None } else { Some(listeners) })
}

fn adopt(fd: OwnedFd) -> io::Result<Listener> {
    let family = getsockname(fd.as_fd())?.address_family();
    let socket = match family {
        AddressFamily::UNIX => ListenSocket::Unix(fd.into()),
        _ => ListenSocket::Tcp(fd.into()),
    };
    Ok(Listener { socket, path: None })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let host =
            |text: &str| text.parse::<Host>().map(|host| host.to_string()).map_err(|error| error.to_string());
        assert_eq!(host("unix:///run/x.sock").unwrap(), "unix:///run/x.sock");
        assert_eq!(host("tcp://").unwrap(), "tcp://127.0.0.1:2375");
        assert_eq!(host("tcp://0.0.0.0:80/").unwrap(), "tcp://0.0.0.0:80");
        assert_eq!(host("tcp://[::1]").unwrap(), "tcp://[::1]:2375");
        assert_eq!(host("tcp://:81").unwrap(), "tcp://127.0.0.1:81");
        assert_eq!(host("fd://").unwrap(), "fd://");
        assert_eq!(host("fd://4").unwrap(), "fd://4");
        for bad in ["", "x", "unix://relative", "http://a", "fd://x"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn groups() {
        assert_eq!(group_id("root:x:0:\ndocker:x:998:a,b\n"), Some(998));
        assert_eq!(group_id("root:x:0:\ndockerroot:x:998:\n"), None);
    }

    #[test]
    fn stale_sockets_are_replaced_and_living_ones_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/api.sock");
        let host = Host::Unix(path.clone());
        let first = host.listen().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(host.listen(), Err(ListenError::InUse(_))));
        drop(first);
        assert!(!path.exists());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = host.listen().unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }
}

//! Where the engine listens.

use std::{env, fmt, path::PathBuf};

use crate::{Error, Result};

/// The socket of an engine started without `-H`.
pub const DEFAULT_SOCKET: &str = "/run/wharf/wharf.sock";

const DEFAULT_TCP_HOST: &str = "localhost";
const DEFAULT_TCP_PORT: &str = "2375";

/// The address of an engine. Its `Display` form is what error messages show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`, without TLS.
    Tcp(String),
}

impl Default for Host {
    fn default() -> Self {
        Self::Unix(PathBuf::from(DEFAULT_SOCKET))
    }
}

impl Host {
    /// The address given on the command line, else that of `DOCKER_HOST`, else the default socket.
    ///
    /// # Errors
    /// [`Error::Host`] if the address is malformed or of a kind that is not supported.
    pub fn from_env(given: Option<&str>) -> Result<Self> {
        let host = match given.map(str::to_owned).or_else(|| env::var("DOCKER_HOST").ok()) {
            Some(address) if !address.is_empty() => Self::parse(&address)?,
            _ => Self::default(),
        };
        let encrypted = env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        if encrypted && matches!(host, Self::Tcp(_)) {
            return Err(Error::Host(format!(
                "DOCKER_TLS_VERIFY is set, but TLS is not supported yet: {host}"
            )));
        }
        Ok(host)
    }

    /// Reads `unix://PATH`, `tcp://HOST:PORT` or `HOST:PORT`.
    ///
    /// # Errors
    /// As [`Host::from_env`].
    pub fn parse(address: &str) -> Result<Self> {
        let address = address.trim();
        let (scheme, rest) = address.split_once("://").unwrap_or(("tcp", address));
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::default()),
            "unix" => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" | "http" => tcp(rest, address),
            "ssh" | "https" | "npipe" | "fd" => {
                Err(Error::Host(format!("protocol \"{scheme}\" is not supported by this client: {address}")))
            }
            _ => Err(Error::Host(format!("invalid bind address format: {address}"))),
        }
    }

    /// True for the default socket, whose engine is of the same version as this client.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What goes into the `Host` header: a name, since a socket path is not one.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Self::Unix(_) => "api.moby.localhost",
            Self::Tcp(address) => address,
        }
    }
}

/// `HOST:PORT` with Docker's defaults for either part.
fn tcp(rest: &str, address: &str) -> Result<Host> {
    let invalid = || Error::Host(format!("invalid bind address format: {address}"));
    let rest = rest.trim_end_matches('/');
    if rest.contains('/') {
        return Err(invalid());
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (rest, ""),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err(invalid());
    }
    let host = if host.is_empty() { DEFAULT_TCP_HOST } else { host };
    let port = if port.is_empty() { DEFAULT_TCP_PORT } else { port };
    port.parse::<u16>().map_err(|_| invalid())?;
    Ok(Host::Tcp(format!("{host}:{port}")))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form() {
        for (address, shown) in [
            ("unix:///x/y.sock", "unix:///x/y.sock"),
            ("unix://", "unix:///run/wharf/wharf.sock"),
            ("tcp://1.2.3.4:99", "tcp://1.2.3.4:99"),
            ("tcp://:99", "tcp://localhost:99"),
            ("tcp://box", "tcp://box:2375"),
            ("box:99", "tcp://box:99"),
            ("tcp://[::1]:99", "tcp://[::1]:99"),
            ("tcp://[::1]", "tcp://[::1]:2375"),
        ] {
            assert_eq!(Host::parse(address).unwrap().to_string(), shown, "{address}");
        }
    }

    #[test]
    fn addresses_that_are_refused() {
        assert_eq!(
            Host::parse("bogus://x").unwrap_err().to_string(),
            "unable to resolve docker endpoint: invalid bind address format: bogus://x"
        );
        for address in ["tcp://a:b", "tcp://a:1/path", "tcp://a:b:1", "ssh://me@box"] {
            assert!(Host::parse(address).is_err(), "{address}");
        }
    }
}

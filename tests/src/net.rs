//! Addresses, ports and network namespaces of tests.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    process::Command,
    thread,
    time::Duration,
};

use rustix::{
    fd::AsFd,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// A TCP port of the host that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Fetches `path`; returns the body.
///
/// # Errors
/// Nothing answers there within three seconds.
pub fn http_get(address: impl ToSocketAddrs, path: &str) -> io::Result<String> {
    let limit = Duration::from_secs(3);
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(body.to_owned())
}

/// Runs `work` in the network namespace in the file `path`.
pub fn in_network_of<T: Send>(path: &str, work: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(path).unwrap();
    // The namespace is a property of the thread, which ends with the work.
    let enter = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

/// A network namespace that a pair of links joins to the host, as a neighbour on the host's network would be.
#[derive(Debug)]
pub struct NetworkNamespace {
    name: String,
    /// Address of the host on the pair.
    pub host: String,
    /// Address of the other side.
    pub address: String,
}

impl NetworkNamespace {
    /// Makes it. `name` is short and unique among tests. It has no route but to the host's address.
    pub fn new(name: &str) -> NetworkNamespace {
        let name = format!("wt{:.6}{:05}n", name, std::process::id() % 100_000);
        let host = crate::unused_subnet(1);
        let (network, _) = host.split_once('/').unwrap();
        let octets: std::net::Ipv4Addr = network.parse().unwrap();
        let address = std::net::Ipv4Addr::from(u32::from(octets) + 1).to_string();
        let namespace = NetworkNamespace { name, host: network.to_owned(), address };
        let name = &*namespace.name;
        ip(&["netns", "add", name]);
        ip(&["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name]);
        ip(&["addr", "add", &host, "dev", name]);
        ip(&["link", "set", name, "up"]);
        ip(&["-n", name, "addr", "add", &format!("{}/28", namespace.address), "dev", "eth0"]);
        ip(&["-n", name, "link", "set", "eth0", "up"]);
        namespace
    }

    /// File of the namespace.
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.name]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("the tests need iproute2");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Removes what an engine leaves in the kernel because its containers may outlive it: the bridge, its tables and its
/// rules in the chains of others.
pub(crate) fn remove_engine(bridge: &str) {
    let _ = Command::new("ip").args(["link", "del", bridge]).output();
    for family in ["ip", "ip6"] {
        let _ = Command::new("nft").args(["delete", "table", family, bridge]).output();
        for chain in ["DOCKER-USER", "FORWARD"] {
            remove_rules(family, chain, bridge);
        }
    }
}

fn remove_rules(family: &str, chain: &str, bridge: &str) {
    let list = Command::new("nft").args(["-a", "list", "chain", family, "filter", chain]).output();
    let Ok(list) = list else { return };
    let mark = format!("\"wharf:{bridge}:");
    for rule in String::from_utf8_lossy(&list.stdout).lines().filter(|line| line.contains(&mark)) {
        if let Some((_, handle)) = rule.rsplit_once("# handle ") {
            let args = ["delete", "rule", family, "filter", chain, "handle", handle];
            let _ = Command::new("nft").args(args).output();
        }
    }
}

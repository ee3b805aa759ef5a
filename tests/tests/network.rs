//! Published ports, networks of users, and the ways out of a container.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
    time::Duration,
};

use wharf_tests::{NetworkNamespace, TestDaemon, free_port, http_get, in_network_of, until, unused_subnet};

const SERVER: [&str; 6] = ["busybox", "httpd", "-f", "-p", "80", "-h"];

/// Starts a container that serves its `/etc`, so that `/hostname` tells which one answered.
fn serve(daemon: &TestDaemon, name: &str, options: &[&str]) {
    let named = ["run", "-d", "--name", name, "--hostname", name];
    daemon.run(&[&named, options, &SERVER, &["/etc"]].concat());
}

/// Whether `name` answers at `address` within five seconds.
fn answers(address: SocketAddr, name: &str) -> bool {
    let expected = format!("{name}\n");
    until(Duration::from_secs(5), || http_get(address, "/hostname").is_ok_and(|body| body == expected))
}

#[test]
fn a_port_is_published_where_it_is_asked_for() {
    let daemon = TestDaemon::start("ports");
    let (local, every, six) = (free_port(), free_port(), free_port());
    let publish = [format!("127.0.0.1:{local}:80"), format!("0.0.0.0:{every}:80"), format!("[::1]:{six}:80")];
    serve(&daemon, "web", &["-p", &publish[0], "-p", &publish[1], "-p", &publish[2]]);
    let gateway: std::net::IpAddr = daemon.gateway().parse().unwrap();
    assert!(answers(([127, 0, 0, 1], local).into(), "web"));
    assert!(answers(([127, 0, 0, 1], every).into(), "web"));
    assert!(answers((gateway, every).into(), "web"), "0.0.0.0 is every address of the host");
    assert!(answers((Ipv6Addr::LOCALHOST, six).into(), "web"));
    assert!(http_get((gateway, local), "/hostname").is_err(), "127.0.0.1 is that address alone");
    assert!(http_get(("127.0.0.1", six), "/hostname").is_err(), "[::1] is that address alone");
    let listed = daemon.run(&["port", "web", "80"]);
    let mut listed: Vec<_> = listed.lines().collect();
    listed.sort_unstable();
    let mut expected = publish.map(|binding| binding.trim_end_matches(":80").to_owned());
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let url = format!("http://{gateway}:{every}/hostname");
    assert_eq!(daemon.run(&["run", "--rm", "busybox", "wget", "-q", "-O-", &url]), "web");
}

#[test]
fn a_datagram_port_carries_both_ways() {
    let daemon = TestDaemon::start("udp");
    let port = free_port();
    daemon.run(&[
        "run",
        "-d",
        "--name",
        "udp",
        "-p",
        &format!("127.0.0.1:{port}:53/udp"),
        "busybox",
        "sleep",
        "1000",
    ]);
    let pid = daemon.run(&["inspect", "-f", "{{.State.Pid}}", "udp"]);
    let server = in_network_of(&format!("/proc/{pid}/ns/net"), || UdpSocket::bind("0.0.0.0:53").unwrap());
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let echo = thread::spawn(move || {
        let mut buffer = [0; 64];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], from).unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    client.send(b"there and back").unwrap();
    let mut buffer = [0; 64];
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"there and back");
    echo.join().unwrap();
}

#[test]
fn a_port_belongs_to_one_container_until_it_is_gone() {
    let daemon = TestDaemon::start("portown");
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:80");
    serve(&daemon, "first", &["-p", &publish]);
    assert!(answers(([127, 0, 0, 1], port).into(), "first"));
    let output = daemon.wharf(&["run", "--rm", "-p", &publish, "busybox", "true"]);
    assert_eq!(output.code, 125);
    assert!(output.stderr.contains("port is already allocated"), "{}", output.stderr);
    daemon.run(&["rm", "-f", "first"]);
    assert!(http_get(("127.0.0.1", port), "/hostname").is_err());
    drop(TcpListener::bind(("127.0.0.1", port)).unwrap());
    serve(&daemon, "second", &["-p", &publish]);
    assert!(answers(([127, 0, 0, 1], port).into(), "second"));
}

#[test]
fn none_host_and_container_are_networks() {
    let daemon = TestDaemon::start("modes");
    let links = |mode: &str| {
        let links = daemon.run(&["run", "--rm", "--network", mode, "busybox", "ls", "/sys/class/net"]);
        links.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(links("none"), ["lo"]);
    assert_eq!(links("default"), ["eth0", "lo"]);
    let namespace = |path: &str| fs::read_link(path).unwrap().to_string_lossy().into_owned();
    let inside = |mode: &str| {
        daemon.run(&["run", "--rm", "--network", mode, "busybox", "readlink", "/proc/self/ns/net"])
    };
    assert_eq!(inside("host"), namespace("/proc/self/ns/net"));
    serve(&daemon, "web", &[]);
    let pid = daemon.run(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    assert_eq!(inside("container:web"), namespace(&format!("/proc/{pid}/ns/net")));
    let fetch = ["busybox", "wget", "-q", "-O-", "http://127.0.0.1/hostname"];
    let joined = [&["run", "--rm", "--network", "container:web"], fetch.as_slice()].concat();
    assert_eq!(daemon.run(&joined), "web");
}

#[test]
fn the_interface_of_a_shared_network_goes_with_its_owner() {
    let daemon = TestDaemon::start("sharednet");
    daemon.run(&["run", "-d", "--name", "owner", "busybox", "sleep", "1000"]);
    daemon.run(&["run", "-d", "--name", "guest", "--network", "container:owner", "busybox", "sleep", "1000"]);
    let links = || daemon.run(&["exec", "guest", "ls", "/sys/class/net"]);
    assert_eq!(links(), "eth0\nlo");
    daemon.run(&["rm", "-f", "owner"]);
    assert_eq!(links(), "lo");
}

#[test]
fn containers_on_a_network_find_each_other_by_name() {
    let daemon = TestDaemon::start("names");
    daemon.run(&["network", "create", "--subnet", &unused_subnet(0), "net"]);
    serve(&daemon, "one", &["--network", "net"]);
    serve(&daemon, "two", &["--network", "net", "--network-alias", "other"]);
    serve(&daemon, "stranger", &[]);
    let fetch = |from: &str, host: &str| {
        let url = format!("http://{host}/hostname");
        daemon.wharf(&["exec", from, "timeout", "2", "wget", "-q", "-O-", &url])
    };
    for (from, host, answer) in [("one", "two", "two"), ("two", "one", "one"), ("one", "other", "two")] {
        let found = until(Duration::from_secs(5), || fetch(from, host).stdout.trim_end() == answer);
        assert!(found, "{from} → {host}: {:?}", fetch(from, host));
    }
    assert_ne!(fetch("stranger", "two").code, 0, "names are those of the own networks");
    let address = "{{(index .NetworkSettings.Networks \"net\").IPAddress}}";
    let two = daemon.run(&["inspect", "-f", address, "two"]);
    assert_ne!(fetch("stranger", &two).code, 0, "networks are apart");
    daemon.run(&["rm", "-f", "two"]);
    assert_ne!(fetch("one", "two").code, 0, "a name goes with its container");
}

#[test]
fn the_way_out_is_masqueraded() {
    let daemon = TestDaemon::start("out");
    let listener = TcpListener::bind((daemon.gateway(), 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    assert_eq!(served_to(listener, &daemon, &url).1, "hello", "the host's side of the bridge is reachable");
    let neighbour = NetworkNamespace::new("out");
    let address = neighbour.address.clone();
    let listener = in_network_of(&neighbour.path(), || TcpListener::bind((&*address, 0)).unwrap());
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // It knows no way back to the container's own address.
    let (peer, body) = served_to(listener, &daemon, &url);
    assert_eq!((peer, body.as_str()), (neighbour.host.clone(), "hello"));
}

/// Answers one connection with `hello`; returns the address it came from and what a container fetched.
fn served_to(listener: TcpListener, daemon: &TestDaemon, url: &str) -> (String, String) {
    use std::io::{BufRead, BufReader, Write};
    let server = thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
        peer.ip().to_string()
    });
    let body = daemon.run(&["run", "--rm", "busybox", "timeout", "10", "wget", "-q", "-O-", url]);
    (server.join().unwrap(), body)
}

//! The bridge driver and published ports.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::lab::{Container, Lab, fetch, run};
use wharf_net::{Net, NetConfig, NetworkSpec, PoolSpec, PortRequest, Protocol};

fn tcp(host: Option<&str>, host_port: u16, container_port: u16) -> PortRequest {
    let host_ip = host.map(|ip| ip.parse().unwrap());
    PortRequest { container_port, protocol: Protocol::Tcp, host_ip, host_ports: (host_port, host_port) }
}

#[test]
fn containers_of_a_bridge_reach_each_other_and_the_gateway() {
    Lab::run(|lab| {
        let net = lab.start();
        let a = lab.container(&net, "bridge", "a");
        let b = lab.container(&net, "bridge", "b");
        assert_eq!(a.ip(), "172.17.0.2");
        assert_eq!(b.ip(), "172.17.0.3");
        a.serve(80, "from a");
        let start = Instant::now();
        assert_eq!(b.fetch("172.17.0.2:80").unwrap(), "from a");
        assert!(start.elapsed() < Duration::from_millis(500), "first connection took {:?}", start.elapsed());
        lab.serve("0.0.0.0:7000", "from host");
        assert_eq!(b.fetch("172.17.0.1:7000").unwrap(), "from host");
        assert_eq!(fetch("172.17.0.2:80").unwrap(), "from a");
        let inside = b.run("ip -br addr; ip route; sysctl -n net.ipv6.conf.eth0.disable_ipv6");
        assert!(inside.contains("172.17.0.3/16"), "{inside}");
        assert!(inside.contains("default via 172.17.0.1 dev eth0"), "{inside}");
        assert!(!inside.contains("fe80"), "{inside}");
    });
}

#[test]
fn an_address_that_changes_hands_is_reached_at_once() {
    Lab::run(|lab| {
        let net = lab.start();
        let peer = lab.container(&net, "bridge", "peer");
        for round in 0..3 {
            let server = lab.container(&net, "bridge", "server");
            assert_eq!(server.ip(), "172.17.0.3");
            server.serve(80, &format!("round {round}"));
            let start = Instant::now();
            assert_eq!(fetch("172.17.0.3:80").unwrap(), format!("round {round}"));
            assert!(start.elapsed() < Duration::from_millis(500), "host: {:?}", start.elapsed());
            let start = Instant::now();
            assert_eq!(peer.fetch("172.17.0.3:80").unwrap(), format!("round {round}"));
            assert!(start.elapsed() < Duration::from_millis(900), "peer: {:?}", start.elapsed());
            server.stop(&net);
        }
    });
}

#[test]
fn published_ports() {
    Lab::run(|lab| {
        let net = lab.start();
        let lan = lab.lan();
        let mut web = lab.container(&net, "bridge", "web");
        let other = lab.container(&net, "bridge", "other");
        web.serve(80, "web");
        let requests = [tcp(None, 8080, 80), tcp(Some("127.0.0.1"), 8081, 80), tcp(Some("::1"), 8082, 80)];
        net.publish(&mut web.state, &requests).unwrap();
        assert_eq!(web.state.ports.len(), 4);

        // The host itself, by every address it has.
        for at in ["127.0.0.1:8080", "127.0.0.2:8080", "10.99.0.1:8080", "172.17.0.1:8080", "[::1]:8080"] {
            assert_eq!(fetch(at).unwrap(), "web", "{at}");
        }
        assert_eq!(fetch("127.0.0.1:8081").unwrap(), "web");
        assert_eq!(fetch("[::1]:8082").unwrap(), "web");
        for at in ["127.0.0.2:8081", "10.99.0.1:8081", "[::1]:8081", "127.0.0.1:8082"] {
            fetch(at).unwrap_err();
        }
        // Containers, through the host's address: a neighbour and the container itself.
        for container in [&other, &web] {
            assert_eq!(container.fetch("10.99.0.1:8080").unwrap(), "web");
            assert_eq!(container.fetch("172.17.0.1:8080").unwrap(), "web");
            container.fetch("172.17.0.1:8081").unwrap_err();
        }
        // Another machine: only what is published for everybody, and nothing directly or by loopback tricks.
        assert_eq!(lan.fetch("10.99.0.1:8080").unwrap(), "web");
        lan.fetch("10.99.0.1:8081").unwrap_err();
        lan.run(
            "ip route add 172.17.0.0/16 via 10.99.0.1; ip route add 127.0.0.0/8 via 10.99.0.1 table 7; \
                 ip rule add to 127.0.0.0/8 pref 0 table 7; ip rule del pref 0 table local; \
                 ip rule add pref 5 table local",
        );
        run("sysctl -w net.ipv4.conf.lan0.route_localnet=1");
        lan.fetch("172.17.0.2:80").unwrap_err();
        lan.fetch("127.0.0.1:8081").unwrap_err();

        net.unpublish(&web.state).unwrap();
        for at in ["127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8080", "[::1]:8082"] {
            fetch(at).unwrap_err();
        }
        lan.fetch("10.99.0.1:8080").unwrap_err();
    });
}

#[test]
fn published_udp() {
    Lab::run(|lab| {
        let net = lab.start();
        let mut server = lab.container(&net, "bridge", "server");
        let request = PortRequest { protocol: Protocol::Udp, ..tcp(None, 5353, 53) };
        net.publish(&mut server.state, &[request]).unwrap();
        let socket = server.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        for (from, at) in [("127.0.0.1:0", "127.0.0.1:5353"), ("[::1]:0", "[::1]:5353")] {
            let client = UdpSocket::bind(from).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
            client.send_to(b"ping", at).unwrap();
            let mut bytes = [0; 16];
            let (length, peer) = socket.recv_from(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"ping");
            socket.send_to(b"pong", peer).unwrap();
            let (length, peer) = client.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..length], peer), (&b"pong"[..], at.parse::<SocketAddr>().unwrap()));
        }
    });
}

#[test]
fn outgoing_connections_get_the_hosts_address() {
    Lab::run(|lab| {
        let net = lab.start();
        let lan = lab.lan();
        let a = lab.container(&net, "bridge", "a");
        let listener = lan.inside(|| TcpListener::bind("10.99.0.2:9000").unwrap());
        let client = a.inside(|| TcpStream::connect("10.99.0.2:9000").unwrap());
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), "10.99.0.1");
        drop(client);
    });
}

#[test]
fn conflicts_are_docker_s_errors() {
    Lab::run(|lab| {
        let net = lab.start();
        let mut a = lab.container(&net, "bridge", "a");
        let mut b = lab.container(&net, "bridge", "b");
        net.publish(&mut a.state, &[tcp(None, 8080, 80)]).unwrap();
        let error = net.publish(&mut b.state, &[tcp(Some("127.0.0.1"), 8080, 80)]).unwrap_err().to_string();
        let id = &b.state.id;
        let expected = format!(
            "driver failed programming external connectivity on endpoint b ({id}): \
             Bind for 127.0.0.1:8080 failed: port is already allocated"
        );
        assert_eq!(error, expected);
        let foreign = TcpListener::bind("127.0.0.1:8090").unwrap();
        let error = net.publish(&mut b.state, &[tcp(None, 8090, 80)]).unwrap_err().to_string();
        let tail = "failed to bind host port for 0.0.0.0:8090:172.17.0.3:80/tcp: address already in use";
        assert!(error.ends_with(tail), "{error}");
        drop(foreign);
        net.unpublish(&a.state).unwrap();
        net.publish(&mut b.state, &[tcp(Some("127.0.0.1"), 8080, 80), tcp(None, 8090, 80)]).unwrap();
        assert!(TcpListener::bind("127.0.0.1:8080").is_err(), "the port is held");
    });
}

#[test]
fn networks_are_isolated() {
    Lab::run(|lab| {
        let net = lab.start();
        let lan = lab.lan();
        for (name, internal, icc) in
            [("one", false, "true"), ("inner", true, "true"), ("quiet", false, "false")]
        {
            let options = [("com.docker.network.bridge.enable_icc".to_owned(), icc.to_owned())].into();
            lab.network(&net, NetworkSpec { name: name.into(), internal, options, ..NetworkSpec::default() });
        }
        let a = lab.container(&net, "bridge", "a");
        let mut b = lab.container(&net, "one", "b");
        let inner = lab.container(&net, "inner", "inner1");
        let inner2 = lab.container(&net, "inner", "inner2");
        let quiet = lab.container(&net, "quiet", "quiet1");
        let quiet2 = lab.container(&net, "quiet", "quiet2");
        for container in [&a, &b, &inner, &quiet] {
            container.serve(80, &container.state.container_name);
        }
        lan.serve(80, "lan");
        let at = |c: &Container| format!("{}:80", c.ip());
        a.fetch(&at(&b)).unwrap_err();
        b.fetch(&at(&a)).unwrap_err();
        a.fetch(&at(&inner)).unwrap_err();
        assert_eq!(inner2.fetch(&at(&inner)).unwrap(), "inner1");
        inner.fetch("10.99.0.2:80").unwrap_err();
        assert!(inner.state.gateway.is_none());
        quiet2.fetch(&at(&quiet)).unwrap_err();
        assert_eq!(quiet.fetch("10.99.0.2:80").unwrap(), "lan");
        assert_eq!(fetch(&at(&quiet)).unwrap(), "quiet1");
        // A published port is reached from another network through the host.
        net.publish(&mut b.state, &[tcp(None, 8080, 80)]).unwrap();
        assert_eq!(a.fetch("10.99.0.1:8080").unwrap(), "b");
        assert_eq!(quiet.fetch("10.99.0.1:8080").unwrap(), "b");
    });
}

#[test]
fn a_second_network_and_a_new_default_route() {
    Lab::run(|lab| {
        let net = lab.start();
        lab.network(&net, NetworkSpec { name: "two".into(), ..NetworkSpec::default() });
        let peer = lab.container(&net, "two", "peer");
        peer.serve(80, "peer");
        let a = lab.container(&net, "bridge", "a");
        let second = lab.connect(&net, "two", &a);
        assert_eq!(a.fetch(&format!("{}:80", peer.ip())).unwrap(), "peer");
        assert!(a.run("ip route").contains("default via 172.17.0.1 dev eth0"));
        a.with_netns(|netns| net.set_default_route(netns, second.gateway).unwrap());
        assert!(a.run("ip route").contains(&format!("default via {} dev eth1", second.gateway.unwrap())));
        net.detach(&second).unwrap();
        assert!(!a.run("ip -br link").contains("eth1"));
        a.with_netns(|netns| net.set_default_route(netns, None).unwrap());
        assert!(!a.run("ip route").contains("default"));
    });
}

#[test]
fn restart_keeps_connections_and_sweeps_orphans() {
    Lab::run(|lab| {
        let net = lab.start();
        let mut web = lab.container(&net, "bridge", "web");
        let gone = lab.container(&net, "bridge", "gone");
        lab.network(&net, NetworkSpec { name: "kept".into(), ..NetworkSpec::default() });
        web.serve(80, "web");
        net.publish(&mut web.state, &[tcp(None, 8080, 80)]).unwrap();
        let listener = web.inside(|| TcpListener::bind("0.0.0.0:81").unwrap());
        net.unpublish(&web.state).unwrap();
        net.publish(&mut web.state, &[tcp(None, 8080, 80), tcp(None, 8181, 81)]).unwrap();
        let mut open = TcpStream::connect("127.0.0.1:8181").unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        run("ip link add br-orphan type bridge; ip link set br-orphan alias wharf:wharf");
        drop(net);

        // Translation goes on without the engine.
        assert_eq!(fetch("127.0.0.1:8080").unwrap(), "web");
        let net = lab.open();
        let running = [web.state.clone()];
        net.restore(&running).unwrap();
        net.sweep(&running).unwrap();
        assert_eq!(fetch("127.0.0.1:8080").unwrap(), "web");
        assert_eq!(fetch("[::1]:8080").unwrap(), "web");
        open.write_all(b"still here").unwrap();
        let mut bytes = [0; 10];
        peer.read_exact(&mut bytes).unwrap();
        let links = run("ip -br link");
        assert!(links.contains(&web.state.veth) && !links.contains(&gone.state.veth), "{links}");
        assert!(!links.contains("br-orphan"), "{links}");
        assert!(net.networks().unwrap().iter().any(|n| n.name == "kept" && links.contains(&n.bridge)));
        // The orphan's address is free again, the other's is not.
        assert_eq!(lab.container(&net, "bridge", "next").ip(), gone.ip());

        net.remove_all().unwrap();
        let left = run("ip -br link; nft list ruleset");
        assert!(!left.contains("veth") && !left.contains("wharf") && !left.contains("br-"), "{left}");
    });
}

#[test]
fn a_foreign_filter_table_lets_us_pass() {
    Lab::run(|lab| {
        let docker = "add table ip filter; add chain ip filter DOCKER-USER; \
            add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; \
            add rule ip filter FORWARD jump DOCKER-USER";
        run(&format!("nft '{docker}'"));
        let net = lab.start();
        let lan = lab.lan();
        let mut web = lab.container(&net, "bridge", "web");
        web.serve(80, "web");
        lan.serve(80, "lan");
        net.publish(&mut web.state, &[tcp(None, 8080, 80)]).unwrap();
        assert_eq!(lan.fetch("10.99.0.1:8080").unwrap(), "web");
        assert_eq!(web.fetch("10.99.0.2:80").unwrap(), "lan");
        let rules = run("nft list chain ip filter DOCKER-USER");
        assert_eq!(rules.matches("wharf:wharf:wharf0").count(), 2, "{rules}");
        // Once more changes nothing, and what was flushed comes back with the next container.
        net.recheck().unwrap();
        assert_eq!(run("nft list chain ip filter DOCKER-USER"), rules);
        run("nft flush chain ip filter DOCKER-USER");
        let other = lab.container(&net, "bridge", "other");
        assert_eq!(other.fetch("10.99.0.2:80").unwrap(), "lan");
        net.remove_all().unwrap();
        assert!(!run("nft list chain ip filter DOCKER-USER").contains("wharf"));
    });
}

#[test]
fn user_subnets_and_pools() {
    Lab::run(|lab| {
        run("ip link add d0 type bridge; ip addr add 172.18.5.1/24 dev d0; ip link set d0 up");
        let net = lab.start();
        let auto = lab.network(&net, NetworkSpec { name: "auto".into(), ..NetworkSpec::default() });
        assert_eq!(auto.ipam.pools[0].subnet.to_string(), "172.19.0.0/16");
        let pool =
            PoolSpec { subnet: "10.66.0.0/24".into(), gateway: "10.66.0.254".into(), ..PoolSpec::default() };
        let fixed = NetworkSpec { name: "fixed".into(), ipam: vec![pool], ..NetworkSpec::default() };
        lab.network(&net, fixed);
        let c = lab.container(&net, "fixed", "c");
        assert_eq!(c.ip(), "10.66.0.1");
        assert!(c.run("ip route").contains("default via 10.66.0.254"));
        c.stop(&net);
        lab.db.write(|tx| net.remove_network(tx, "fixed")).unwrap();
        assert!(!run("ip addr").contains("10.66.0.254"));
        run("ip link add taken0 type dummy || ip link add taken0 type veth");
        let options = [("com.docker.network.bridge.name".to_owned(), "taken0".to_owned())].into();
        let spec = NetworkSpec { name: "taken".into(), options, ..NetworkSpec::default() };
        let error = lab.db.write(|tx| net.create_network(tx, spec)).unwrap_err();
        assert_eq!(error.to_string(), "existing interface taken0 is not a bridge");
        assert!(net.networks().unwrap().iter().all(|n| n.name != "taken"));
    });
}

#[test]
fn two_engines_side_by_side() {
    Lab::run(|lab| {
        let lan = lab.lan();
        lan.serve(80, "lan");
        let first = lab.start();
        let mut a = lab.container(&first, "bridge", "a");
        a.serve(80, "a");
        first.publish(&mut a.state, &[tcp(None, 8080, 80)]).unwrap();
        let box_of_second = lab.second();
        let config =
            NetConfig { instance: "wharf-two".into(), bridge: "two0".into(), ..NetConfig::default() };
        let second = Net::open(config, box_of_second.db.clone()).unwrap();
        second.restore(&[]).unwrap();
        let mut b = box_of_second.container(&second, "bridge", "b");
        b.serve(80, "b");
        assert_eq!(b.ip(), "172.18.0.2");
        second.publish(&mut b.state, &[tcp(None, 8181, 80)]).unwrap();
        assert_eq!(b.fetch("10.99.0.1:8080").unwrap(), "a");
        assert_eq!(lan.fetch("10.99.0.1:8181").unwrap(), "b");
        assert_eq!(b.fetch("10.99.0.2:80").unwrap(), "lan");
        a.fetch("172.18.0.2:80").unwrap_err();
        let refused = second.publish(&mut b.state, &[tcp(None, 8080, 80)]).unwrap_err().to_string();
        assert!(refused.ends_with("address already in use"), "{refused}");
        second.sweep(&[]).unwrap();
        second.remove_all().unwrap();
        assert_eq!(lan.fetch("10.99.0.1:8080").unwrap(), "a");
    });
}

#[test]
fn the_table_of_an_engine_that_is_gone_is_removed() {
    Lab::run(|lab| {
        run("nft add table ip other");
        let gone = lab.second();
        let config = NetConfig { instance: "gone".into(), bridge: "gone0".into(), ..NetConfig::default() };
        let net = Net::open(config, gone.db.clone()).unwrap();
        net.restore(&[]).unwrap();
        drop(net);
        let tables = || run("nft list tables");
        let net = lab.start();
        assert!(tables().contains("table ip gone"), "an engine that has its bridge may come back");
        run("ip link del gone0");
        let spec = NetworkSpec {
            name: "net".into(),
            ipam: vec![PoolSpec { subnet: "172.17.0.0/16".into(), ..PoolSpec::default() }],
            ..NetworkSpec::default()
        };
        lab.network(&net, spec);
        assert_eq!(tables().trim(), "table ip other\ntable ip wharf");
    });
}

#[test]
fn a_udp_client_that_keeps_sending_finds_the_new_container() {
    Lab::run(|lab| {
        let net = lab.start();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for round in 0..2u8 {
            // Sent while nothing is published: the kernel remembers a flow to nobody.
            let _ = client.send_to(&[9], "127.0.0.1:5353");
            let mut server = lab.container(&net, "bridge", "server");
            let request = PortRequest { protocol: Protocol::Udp, ..tcp(Some("127.0.0.1"), 5353, 53) };
            net.publish(&mut server.state, &[request]).unwrap();
            let socket = server.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
            socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let _ = client.send_to(&[round], "127.0.0.1:5353");
            let mut bytes = [0; 4];
            assert_eq!(socket.recv(&mut bytes).unwrap(), 1);
            assert_eq!(bytes[0], round);
            drop(socket);
            server.stop(&net);
        }
    });
}

#[test]
fn nft_reads_the_table_back() {
    Lab::run(|lab| {
        let net = lab.start();
        let mut web = lab.container(&net, "bridge", "web");
        net.publish(&mut web.state, &[tcp(Some("0.0.0.0"), 8080, 80), tcp(Some("127.0.0.1"), 8081, 81)])
            .unwrap();
        let table = run("nft list table ip wharf");
        for line in [
            "elements = { \"wharf0\" }",
            "\"wharf0\" . \"wharf0\" : accept",
            "127.0.0.1 . tcp . 8081 : 172.17.0.2 . 81",
            "tcp . 8080 : 172.17.0.2 . 80",
            "iifname != \"wharf0\" ip daddr 172.17.0.0/16 ip daddr != 172.17.0.1 drop",
            "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @ports_by_address",
            "ct state established,related accept",
            "oifname @bridges ct status dnat accept",
            "iifname . oifname vmap @same_bridge",
            "ip saddr 172.17.0.0/16 oifname != \"wharf0\" masquerade",
        ] {
            assert!(table.contains(line), "{line} is not in {table}");
        }
    });
}

#[test]
fn flushed_rules_come_back_with_the_next_port() {
    Lab::run(|lab| {
        let net = lab.start();
        let mut web = lab.container(&net, "bridge", "web");
        let mut gone = lab.container(&net, "bridge", "gone");
        web.serve(80, "web");
        net.publish(&mut gone.state, &[tcp(None, 8079, 80)]).unwrap();
        run("nft flush ruleset");
        net.unpublish(&gone.state).unwrap();
        net.publish(&mut web.state, &[tcp(None, 8080, 80)]).unwrap();
        assert_eq!(lab.lan().fetch("10.99.0.1:8080").unwrap(), "web");
    });
}

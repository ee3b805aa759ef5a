//! The name server as a container sees it.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use crate::lab::{Container, Lab};
use wharf_net::files::Upstream;
use wharf_net::{DnsConfig, Net, NetworkSpec};

const A: u16 = 1;
const PTR: u16 = 12;
const MX: u16 = 15;
const AAAA: u16 = 28;

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, u8::try_from(kind).unwrap(), 0, 1]);
    bytes
}

/// Result code and answers of a reply, sorted: addresses, and names with dots for lengths.
fn read(asked: &[u8], reply: &[u8]) -> String {
    assert_eq!(reply[..2], asked[..2]);
    let mut answers = Vec::new();
    let mut rest = &reply[asked.len()..];
    for _ in 0..u16::from_be_bytes([reply[6], reply[7]]) {
        let length = usize::from(u16::from_be_bytes([rest[10], rest[11]]));
        let data = &rest[12..12 + length];
        answers.push(match rest[3] {
            1 => data.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
            _ => data.iter().map(|b| if *b < 32 { '.' } else { char::from(*b) }).collect(),
        });
        rest = &rest[12 + length..];
    }
    answers.sort();
    format!("{} {}", reply[3] & 0xf, answers.join(" "))
}

fn ask(container: &Container, name: &str, kind: u16) -> String {
    let asked = question(name, kind);
    container.inside(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        socket.connect("127.0.0.11:53").unwrap();
        socket.send(&asked).unwrap();
        let mut reply = [0; 1500];
        let length = socket.recv(&mut reply).unwrap();
        read(&asked, &reply[..length])
    })
}

fn ask_by_tcp(container: &Container, name: &str) -> String {
    let asked = question(name, A);
    container.inside(|| {
        let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
        stream.write_all(&[0, u8::try_from(asked.len()).unwrap()]).unwrap();
        stream.write_all(&asked).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).unwrap();
        read(&asked, &reply)
    })
}

fn serve(net: &Net, container: &Container, upstreams: Vec<Upstream>) {
    let links = vec![("db".to_owned(), "web".to_owned())];
    let config = DnsConfig { upstreams, links };
    container
        .with_netns(|netns| net.serve_dns(&container.state.container_id, netns.as_fd(), config).unwrap());
}

/// A server that answers every query with the result code `code` and one address.
fn upstream(socket: UdpSocket, code: u8, ip: [u8; 4]) {
    thread::spawn(move || {
        let mut bytes = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let mut reply = bytes[..length].to_vec();
            (reply[2], reply[3], reply[7]) = (0x81, 0x80 | code, 1);
            reply.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
            reply.extend_from_slice(&ip);
            socket.send_to(&reply, from).unwrap();
        }
    });
}

fn user_network(lab: &Lab, net: &Net, name: &str, internal: bool) {
    lab.network(net, NetworkSpec { name: name.into(), internal, ..NetworkSpec::default() });
}

#[test]
fn names_of_containers() {
    Lab::run(|lab| {
        let net = lab.start();
        user_network(lab, &net, "one", false);
        user_network(lab, &net, "two", true);
        let mut web = lab.container(&net, "one", "web");
        let asker = lab.container(&net, "one", "asker");
        let hidden = lab.container(&net, "two", "hidden");
        serve(&net, &asker, Vec::new());
        assert_eq!(ask(&asker, "web", A), format!("0 {}", web.ip()));
        assert_eq!(ask(&asker, "WEB.One", A), format!("0 {}", web.ip()));
        assert_eq!(ask(&asker, "asker", A), format!("0 {}", asker.ip()));
        assert_eq!(ask(&asker, "db", A), format!("0 {}", web.ip()));
        assert_eq!(ask(&asker, "web", AAAA), "0 ");
        assert_eq!(ask(&asker, "hidden", A), "2 ");
        assert_eq!(ask_by_tcp(&asker, "web"), format!("0 {}", web.ip()));
        let reversed: Vec<_> = web.ip().split('.').rev().map(str::to_owned).collect();
        assert_eq!(ask(&asker, &format!("{}.in-addr.arpa", reversed.join(".")), PTR), "0 .web.one.");

        let second = lab.connect(&net, "two", &asker);
        assert_eq!(ask(&asker, "hidden", A), format!("0 {}", hidden.ip()));
        net.detach(&second).unwrap();
        assert_eq!(ask(&asker, "hidden", A), "2 ");
        net.rename(&mut web.state, "shop", vec!["shop".into(), "www".into()]);
        assert_eq!(ask(&asker, "shop", A), format!("0 {}", web.ip()));
        assert_eq!(ask(&asker, "web", A), "2 ");

        // Port 53 stays the container's own.
        let own = asker.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
        assert_eq!(ask(&asker, "www", A), format!("0 {}", web.ip()));
        drop(own);
        // A new engine serves the same container.
        let endpoints = [web.state.clone(), asker.state.clone()];
        drop(net);
        let net = lab.open();
        net.restore(&endpoints).unwrap();
        serve(&net, &asker, Vec::new());
        assert_eq!(ask(&asker, "www", A), format!("0 {}", web.ip()));
        net.detach(&asker.state).unwrap();
        assert!(!net.serves_dns("asker-id"));
    });
}

#[test]
fn everything_else_goes_upstream() {
    Lab::run(|lab| {
        let net = lab.start();
        let lan = lab.lan();
        user_network(lab, &net, "one", false);
        user_network(lab, &net, "inner", true);
        upstream(UdpSocket::bind("10.99.0.1:53").unwrap(), 2, [1, 1, 1, 1]);
        upstream(UdpSocket::bind("127.0.0.53:53").unwrap(), 0, [2, 2, 2, 2]);
        upstream(lan.inside(|| UdpSocket::bind("10.99.0.2:53").unwrap()), 3, [3, 3, 3, 3]);
        let server = |ip: &str, from_host| Upstream { ip: ip.parse().unwrap(), from_host };
        let a = lab.container(&net, "one", "a");
        // The first refuses, the second answers.
        serve(&net, &a, vec![server("10.99.0.1", true), server("127.0.0.53", true)]);
        assert_eq!(ask(&a, "example.org", A), "0 2.2.2.2");
        assert_eq!(ask(&a, "example.org", MX), "0 2.2.2.2");
        assert_eq!(ask(&a, "a", AAAA), "0 ");
        // A name that does not exist is an answer; asked from inside the container.
        serve(&net, &a, vec![server("10.99.0.2", false), server("127.0.0.53", true)]);
        assert_eq!(ask(&a, "example.org", A), "3 3.3.3.3");
        // A server that is not there is passed over.
        serve(&net, &a, vec![server("10.99.0.77", false), server("127.0.0.53", true)]);
        assert_eq!(ask(&a, "example.org", A), "0 2.2.2.2");
        serve(&net, &a, vec![server("10.99.0.1", true)]);
        assert_eq!(ask(&a, "example.org", A), "2 1.1.1.1");
        let inner = lab.container(&net, "inner", "inner");
        serve(&net, &inner, vec![server("127.0.0.53", true)]);
        assert_eq!(ask(&inner, "inner", A), format!("0 {}", inner.ip()));
        assert_eq!(ask(&inner, "example.org", A), "2 ");
    });
}

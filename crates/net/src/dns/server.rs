//! The thread that answers for all containers.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use super::message::{self, Answer, Code, Query};
use super::{Client, Shared, Transport, WAKE};
use crate::files::Upstream;
use crate::netns;

/// How long an upstream server is waited for before the next is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many upstream servers are asked at most.
const MAX_UPSTREAMS: usize = 3;
/// Forwarded queries and TCP connections under way at once; more are refused.
const MAX_FORWARDS: usize = 1024;
const MAX_CONNECTIONS: usize = 64;
const DNS_PORT: u16 = 53;

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// What the thread owns.
pub(super) struct Worker {
    shared: Arc<Shared>,
    forwards: HashMap<u64, Forward>,
    scratch: Vec<u8>,
}

/// A query that waits for an upstream server.
struct Forward {
    client: Arc<Client>,
    from: SocketAddr,
    asked: Vec<u8>,
    /// The same under a number of ours.
    sent: Vec<u8>,
    socket: UdpSocket,
    next: usize,
    deadline: Instant,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Worker {
        Worker { shared, forwards: HashMap::new(), scratch: vec![0; 64 << 10] }
    }

    pub(super) fn run(mut self) {
        loop {
            let mut events = Vec::with_capacity(64);
            let timeout = self.next_deadline().map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.shared.epoll, spare, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return tracing::error!(%error, "the name server stopped"),
            }
            for event in events {
                let token = event.data.u64();
                if token == WAKE {
                    if !self.shared.lock().running {
                        return;
                    }
                } else {
                    self.handle(token);
                }
            }
            self.expire();
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        let next = self.forwards.values().map(|f| f.deadline).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn handle(&mut self, token: u64) {
        if self.forwards.contains_key(&token) {
            return self.upstream_answer(token);
        }
        let found = self.shared.lock().tokens.get(&token).map(|(client, kind)| (Arc::clone(client), *kind));
        match found {
            Some((client, Transport::Udp)) => self.datagram(client),
            Some((client, Transport::Tcp)) => accept(&self.shared, client),
            None => {}
        }
    }

    fn datagram(&mut self, client: Arc<Client>) {
        let Ok((length, from)) = client.udp.recv_from(&mut self.scratch) else { return };
        let asked = self.scratch[..length].to_vec();
        let Some(query) = Query::parse(&asked) else { return };
        let reply = match resolve(&self.shared, &client, &query) {
            Resolved::Answers(answers) => query.reply(&asked, Code::Ok, &answers, false),
            Resolved::Forward if self.forwards.len() >= MAX_FORWARDS => {
                query.reply(&asked, Code::Refused, &[], false)
            }
            Resolved::Forward => return self.forward(client, from, asked, 0),
            Resolved::Nothing => query.reply(&asked, Code::ServerFailure, &[], false),
        };
        let _ = client.udp.send_to(&reply, from);
    }

    /// Asks the first upstream server from `next` on that can be asked; with none left the client is told so.
    fn forward(&mut self, client: Arc<Client>, from: SocketAddr, asked: Vec<u8>, mut next: usize) {
        let count = client.config.upstreams.len().min(MAX_UPSTREAMS);
        while next < count {
            let upstream = client.config.upstreams[next];
            next += 1;
            let mut sent = asked.clone();
            message::set_id(&mut sent, u16::from_ne_bytes(crate::random_bytes()));
            let socket = match ask(&client, upstream, &sent) {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::debug!(%error, server = %upstream.ip, "name server cannot be asked");
                    continue;
                }
            };
            let token = self.shared.lock().next_token();
            if epoll::add(&self.shared.epoll, &socket, EventData::new_u64(token), EventFlags::IN).is_err() {
                continue;
            }
            let deadline = Instant::now() + PATIENCE;
            self.forwards.insert(token, Forward { client, from, asked, sent, socket, next, deadline });
            return;
        }
        if let Some(query) = Query::parse(&asked) {
            let _ = client.udp.send_to(&query.reply(&asked, Code::ServerFailure, &[], false), from);
        }
    }

    fn upstream_answer(&mut self, token: u64) {
        let Some(forward) = self.forwards.get(&token) else { return };
        let reply = match forward.socket.recv(&mut self.scratch) {
            Ok(length) if message::answers(&forward.sent, &self.scratch[..length]) => {
                Some(&mut self.scratch[..length])
            }
            // Not an answer to what was asked.
            Ok(_) => return,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => None,
        };
        let servers = forward.client.config.upstreams.len().min(MAX_UPSTREAMS);
        match reply {
            Some(reply) if forward.next >= servers || !message::is_refusal(reply) => {
                let id = u16::from_be_bytes([forward.asked[0], forward.asked[1]]);
                message::set_id(reply, id);
                let _ = forward.client.udp.send_to(reply, forward.from);
                self.forwards.remove(&token);
            }
            _ => self.ask_next(token),
        }
    }

    fn ask_next(&mut self, token: u64) {
        if let Some(forward) = self.forwards.remove(&token) {
            self.forward(forward.client, forward.from, forward.asked, forward.next);
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let late: Vec<_> = self.forwards.iter().filter(|(_, f)| f.deadline <= now).map(|(t, _)| *t).collect();
        late.into_iter().for_each(|token| self.ask_next(token));
    }
}

enum Resolved {
    Answers(Vec<Answer>),
    Forward,
    Nothing,
}

/// What we know ourselves. A known name without addresses of the wanted family has an empty answer.
fn resolve(shared: &Shared, client: &Client, query: &Query) -> Resolved {
    let found = match query.kind {
        message::TYPE_A | message::TYPE_AAAA => {
            let name = linked(client, &query.name);
            let mut ips = shared.names.addresses(&client.container, name);
            if ips.is_empty() {
                None
            } else if query.kind == message::TYPE_AAAA {
                Some(Vec::new())
            } else {
                shuffle(&mut ips);
                Some(ips.into_iter().map(Answer::Address).collect())
            }
        }
        message::TYPE_PTR => {
            let name = query.reverse().and_then(|ip| shared.names.name_of(&client.container, ip));
            name.map(|name| vec![Answer::Name(name)])
        }
        _ => None,
    };
    match found {
        Some(answers) => Resolved::Answers(answers),
        None if shared.names.leads_out(&client.container) => Resolved::Forward,
        None => Resolved::Nothing,
    }
}

/// The container name a link alias stands for.
fn linked<'a>(client: &'a Client, name: &'a str) -> &'a str {
    let link = client.config.links.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
    link.map_or(name, |(_, target)| target)
}

/// Spreads load over the holders of a name.
fn shuffle(ips: &mut [Ipv4Addr]) {
    for i in (1..ips.len()).rev() {
        let random = usize::from(u16::from_ne_bytes(crate::random_bytes()));
        ips.swap(i, random % (i + 1));
    }
}

/// Sends a query from a socket of its own, whose random port makes answers hard to forge.
fn ask(client: &Client, upstream: Upstream, sent: &[u8]) -> io::Result<UdpSocket> {
    let open = || {
        let any = SocketAddr::new(
            if upstream.ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() },
            0,
        );
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect((upstream.ip, DNS_PORT))?;
        socket.send(sent)?;
        Ok(socket)
    };
    if upstream.from_host { open() } else { netns::inside(client.netns.as_fd(), open) }
}

/// Serves a TCP connection on a thread of its own: they are rare, and mostly repeat a truncated query.
fn accept(shared: &Arc<Shared>, client: Arc<Client>) {
    let Ok((stream, _)) = client.tcp.accept() else { return };
    if CONNECTIONS.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("dns-tcp".into()).stack_size(256 << 10);
    let spawned = thread.spawn(move || {
        if let Err(error) = converse(&shared, &client, stream) {
            tracing::debug!(%error, "name query by TCP failed");
        }
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    });
    if spawned.is_err() {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn converse(shared: &Shared, client: &Client, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    loop {
        let asked = match read_message(&mut stream) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let Some(query) = Query::parse(&asked) else { return Ok(()) };
        let reply = match resolve(shared, client, &query) {
            Resolved::Answers(answers) => query.reply(&asked, Code::Ok, &answers, true),
            Resolved::Nothing => query.reply(&asked, Code::ServerFailure, &[], true),
            Resolved::Forward => {
                let servers = client.config.upstreams.iter().take(MAX_UPSTREAMS);
                let mut replies = servers.filter_map(|u| ask_by_tcp(client, *u, &asked).ok());
                replies
                    .find(|reply| !message::is_refusal(reply))
                    .unwrap_or_else(|| query.reply(&asked, Code::ServerFailure, &[], true))
            }
        };
        write_message(&mut stream, &reply)?;
    }
}

fn ask_by_tcp(client: &Client, upstream: Upstream, asked: &[u8]) -> io::Result<Vec<u8>> {
    let connect = || TcpStream::connect_timeout(&SocketAddr::new(upstream.ip, DNS_PORT), PATIENCE);
    let mut stream =
        if upstream.from_host { connect()? } else { netns::inside(client.netns.as_fd(), connect)? };
    stream.set_read_timeout(Some(PATIENCE))?;
    write_message(&mut stream, asked)?;
    read_message(&mut stream)
}

fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat())
}

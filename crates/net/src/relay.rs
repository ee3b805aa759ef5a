//! Connections to published ports that address translation cannot serve.
//!
//! Packets to IPv4 host addresses are led to containers by the kernel. A container on an IPv4 bridge cannot be
//! reached that way through `[::]:8080`, and `localhost` is often `::1` first; so one thread for all ports takes
//! connections that arrive at the holding sockets and copies their bytes. It exists once the first port is
//! published and sleeps unless such a connection is open.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::Protocol;

const WAKE: u64 = 0;
/// How long a UDP client may be silent before it is forgotten.
const UDP_IDLE: Duration = Duration::from_secs(90);
/// Reads in a row from one connection before others get their turn.
const TURN: usize = 16;

/// Handle to the relay thread.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
}

/// A holding socket in the relay; dropping it closes the socket and its connections.
#[derive(Debug)]
pub(crate) struct Served {
    token: u64,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    wake: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    next: u64,
    entrances: HashMap<u64, Arc<Entrance>>,
    closed: Vec<u64>,
}

/// A socket clients come to, and where they are led.
#[derive(Debug)]
struct Entrance {
    socket: Socket,
    target: SocketAddrV4,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Relay {
    pub(crate) fn new() -> io::Result<Relay> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let state = Mutex::new(State { next: 1, ..State::default() });
        Ok(Relay { shared: Arc::new(Shared { epoll, wake, state }) })
    }

    /// Serves a non-blocking socket that is bound, and for TCP listening, until the result is dropped.
    pub(crate) fn serve(
        &self,
        protocol: Protocol,
        socket: OwnedFd,
        target: SocketAddrV4,
    ) -> io::Result<Served> {
        let socket = match protocol {
            Protocol::Udp => Socket::Udp(socket.into()),
            _ => Socket::Tcp(socket.into()),
        };
        let mut state = self.shared.lock();
        let token = state.next_token();
        let entrance = Arc::new(Entrance { socket, target });
        epoll::add(&self.shared.epoll, entrance.fd(), EventData::new_u64(token), EventFlags::IN)?;
        state.entrances.insert(token, entrance);
        if !state.running {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("port-relay".into()).stack_size(256 << 10);
            thread.spawn(move || Worker::new(shared).run())?;
            state.running = true;
        }
        Ok(Served { token, shared: Arc::clone(&self.shared) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.lock().running = false;
        self.shared.wake();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(entrance) = state.entrances.remove(&self.token) {
            let _ = epoll::delete(&self.shared.epoll, entrance.fd());
        }
        state.closed.push(self.token);
        drop(state);
        self.shared.wake();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl State {
    fn next_token(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Entrance {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Udp(socket) => socket.as_fd(),
        }
    }
}

/// What the thread owns: connections and UDP sessions by token.
struct Worker {
    shared: Arc<Shared>,
    connections: HashMap<u64, Connection>,
    sessions: HashMap<u64, Session>,
    /// UDP clients: entrance and address to the session's token.
    clients: HashMap<(u64, SocketAddr), u64>,
    scratch: Vec<u8>,
    swept: Instant,
}

struct Connection {
    entrance: u64,
    client: TcpStream,
    server: TcpStream,
    connected: bool,
    to_server: Flow,
    to_client: Flow,
}

#[derive(Default)]
struct Flow {
    pending: Vec<u8>,
    ended: bool,
    closed: bool,
}

struct Session {
    entrance: u64,
    client: SocketAddr,
    door: Arc<Entrance>,
    server: UdpSocket,
    used: Instant,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Worker {
        Worker {
            shared,
            connections: HashMap::new(),
            sessions: HashMap::new(),
            clients: HashMap::new(),
            scratch: vec![0; 64 << 10],
            swept: Instant::now(),
        }
    }

    fn run(mut self) {
        let mut again: Vec<u64> = Vec::new();
        loop {
            let mut events = Vec::with_capacity(64);
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let idle = rustix::event::Timespec { tv_sec: 30, tv_nsec: 0 };
            let timeout = match (again.is_empty(), self.sessions.is_empty()) {
                (false, _) => Some(&now),
                (true, false) => Some(&idle),
                (true, true) => None,
            };
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.shared.epoll, spare, timeout) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return tracing::error!(%error, "the port relay stopped"),
            }
            let mut tokens = std::mem::take(&mut again);
            tokens.extend(events.iter().map(|event| event.data.u64()));
            for token in tokens {
                if token == WAKE {
                    if !self.closed() {
                        return;
                    }
                } else if self.serve(token) {
                    again.push(token);
                }
            }
            self.expire();
        }
    }

    /// Handles the wake-up; false ends the thread.
    fn closed(&mut self) -> bool {
        let _ = rustix::io::read(&self.shared.wake, &mut [0; 8]);
        let mut state = self.shared.lock();
        let closed = std::mem::take(&mut state.closed);
        let running = state.running;
        drop(state);
        self.connections.retain(|_, connection| !closed.contains(&connection.entrance));
        self.sessions.retain(|_, session| !closed.contains(&session.entrance));
        self.clients.retain(|(entrance, _), _| !closed.contains(entrance));
        running
    }

    /// Serves one token; true asks for another turn.
    fn serve(&mut self, token: u64) -> bool {
        if let Some(connection) = self.connections.get_mut(&token) {
            return match connection.pump(&mut self.scratch) {
                Progress::Waiting => false,
                Progress::More => true,
                Progress::Finished => {
                    self.connections.remove(&token);
                    false
                }
            };
        }
        if let Some(session) = self.sessions.get_mut(&token) {
            session.answer(&mut self.scratch);
            return false;
        }
        let Some(entrance) = self.shared.lock().entrances.get(&token).cloned() else { return false };
        let result = match &entrance.socket {
            Socket::Tcp(listener) => self.accept(token, listener, entrance.target),
            Socket::Udp(socket) => self.receive(token, socket, &entrance),
        };
        if let Err(error) = result {
            tracing::debug!(%error, target = %entrance.target, "relayed connection failed");
        }
        false
    }

    fn accept(&mut self, entrance: u64, listener: &TcpListener, target: SocketAddrV4) -> io::Result<()> {
        let (client, _) = listener.accept()?;
        client.set_nonblocking(true)?;
        client.set_nodelay(true)?;
        let server = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        match rustix::net::connect(&server, &target) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(e) => return Err(e.into()),
        }
        let server = TcpStream::from(server);
        server.set_nodelay(true)?;
        let token = self.shared.lock().next_token();
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.shared.epoll, &client, EventData::new_u64(token), flags)?;
        epoll::add(&self.shared.epoll, &server, EventData::new_u64(token), flags)?;
        let (to_server, to_client) = Default::default();
        let connection = Connection { entrance, client, server, connected: false, to_server, to_client };
        self.connections.insert(token, connection);
        Ok(())
    }

    fn receive(&mut self, entrance: u64, socket: &UdpSocket, door: &Arc<Entrance>) -> io::Result<()> {
        let (length, client) = socket.recv_from(&mut self.scratch)?;
        let token = match self.clients.get(&(entrance, client)) {
            Some(token) => *token,
            None => {
                let server = UdpSocket::bind("0.0.0.0:0")?;
                server.set_nonblocking(true)?;
                server.connect(door.target)?;
                let token = self.shared.lock().next_token();
                epoll::add(&self.shared.epoll, &server, EventData::new_u64(token), EventFlags::IN)?;
                let door = Arc::clone(door);
                self.sessions.insert(token, Session { entrance, client, door, server, used: Instant::now() });
                self.clients.insert((entrance, client), token);
                token
            }
        };
        if let Some(session) = self.sessions.get_mut(&token) {
            session.used = Instant::now();
            session.server.send(&self.scratch[..length])?;
        }
        Ok(())
    }

    /// Forgets UDP clients that fell silent.
    fn expire(&mut self) {
        if self.sessions.is_empty() || self.swept.elapsed() < Duration::from_secs(30) {
            return;
        }
        self.swept = Instant::now();
        self.sessions.retain(|_, session| session.used.elapsed() < UDP_IDLE);
        self.clients.retain(|_, token| self.sessions.contains_key(token));
    }
}

impl Session {
    fn answer(&mut self, scratch: &mut [u8]) {
        // An unreachable port shows up as an error here and leaves the client to its own timeout.
        let Ok(length) = self.server.recv(scratch) else { return };
        self.used = Instant::now();
        if let Socket::Udp(socket) = &self.door.socket {
            let _ = socket.send_to(&scratch[..length], self.client);
        }
    }
}

enum Progress {
    Waiting,
    More,
    Finished,
}

impl Connection {
    /// Copies what can be copied in both directions.
    fn pump(&mut self, scratch: &mut [u8]) -> Progress {
        if !self.connected {
            // Shutting a socket down before it is connected would undo the connection attempt.
            match self.server.take_error() {
                Ok(None) if self.server.peer_addr().is_err() => return Progress::Waiting,
                Ok(None) => self.connected = true,
                _ => return Progress::Finished,
            }
        }
        let there = self.to_server.copy(&mut self.client, &mut self.server, scratch);
        let back = self.to_client.copy(&mut self.server, &mut self.client, scratch);
        match (there, back) {
            (Ok(a), Ok(b)) if self.to_server.closed && self.to_client.closed => {
                debug_assert!(!a && !b);
                Progress::Finished
            }
            (Ok(a), Ok(b)) if a || b => Progress::More,
            (Ok(_), Ok(_)) => Progress::Waiting,
            _ => Progress::Finished,
        }
    }
}

impl Flow {
    /// Copies until one side would block; true when only the turn is over.
    fn copy(&mut self, from: &mut TcpStream, to: &mut TcpStream, scratch: &mut [u8]) -> io::Result<bool> {
        for _ in 0..TURN {
            while !self.pending.is_empty() {
                match to.write(&self.pending) {
                    Ok(written) => drop(self.pending.drain(..written)),
                    Err(e) if would_block(&e) => return Ok(false),
                    Err(e) => return Err(e),
                }
            }
            if self.ended {
                if !self.closed {
                    self.closed = true;
                    to.shutdown(Shutdown::Write)?;
                }
                return Ok(false);
            }
            match from.read(scratch) {
                Ok(0) => self.ended = true,
                Ok(length) => self.pending.extend_from_slice(&scratch[..length]),
                Err(e) if would_block(&e) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn target(port: u16) -> SocketAddrV4 {
        SocketAddrV4::new([127, 0, 0, 1].into(), port)
    }

    #[test]
    fn tcp_both_ways_and_half_close() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = target(server.local_addr().unwrap().port());
        let entrance = TcpListener::bind("127.0.0.1:0").unwrap();
        entrance.set_nonblocking(true).unwrap();
        let at = entrance.local_addr().unwrap();
        let relay = Relay::new().unwrap();
        let served = relay.serve(Protocol::Tcp, entrance.into(), to).unwrap();
        let echo = std::thread::spawn(move || {
            let (mut peer, _) = server.accept().unwrap();
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all.reverse();
            peer.write_all(&all).unwrap();
        });
        let mut client = TcpStream::connect(at).unwrap();
        // Larger than all socket buffers, so that both directions have to wait.
        let sent: Vec<u8> = (0..8_000_000u32).map(|i| (i % 251) as u8).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        got.reverse();
        assert!(got == sent);
        echo.join().unwrap();
        drop(served);
        assert!(TcpStream::connect(at).is_err());
    }

    #[test]
    fn udp_sessions() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = target(server.local_addr().unwrap().port());
        let entrance = UdpSocket::bind("127.0.0.1:0").unwrap();
        entrance.set_nonblocking(true).unwrap();
        let at = entrance.local_addr().unwrap();
        let relay = Relay::new().unwrap();
        let _served = relay.serve(Protocol::Udp, entrance.into(), to).unwrap();
        let clients: Vec<_> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for (i, client) in clients.iter().enumerate() {
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client.send_to(&[i as u8], at).unwrap();
            let mut byte = [0];
            let (_, from) = server.recv_from(&mut byte).unwrap();
            server.send_to(&[byte[0] + 10], from).unwrap();
            client.recv(&mut byte).unwrap();
            assert_eq!(byte[0], i as u8 + 10);
        }
    }
}

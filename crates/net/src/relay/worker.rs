//! The relay's thread.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{Entrance, Shared, Socket, WAKE};

/// How long a UDP client may be silent before it is forgotten.
const UDP_IDLE: Duration = Duration::from_secs(90);
/// Reads in a row from one connection before others get their turn.
const TURN: usize = 16;

/// What the thread owns: connections and UDP sessions by token.
pub(super) struct Worker {
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
    pub(super) fn new(shared: Arc<Shared>) -> Worker {
        Worker {
            shared,
            connections: HashMap::new(),
            sessions: HashMap::new(),
            clients: HashMap::new(),
            scratch: vec![0; 64 << 10],
            swept: Instant::now(),
        }
    }

    pub(super) fn run(mut self) {
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

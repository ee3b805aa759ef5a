//! Connections to published ports that address translation cannot serve.
//!
//! Packets to IPv4 host addresses are led to containers by the kernel. A container on an IPv4 bridge cannot be
//! reached that way through `[::]:8080`, and `localhost` is often `::1` first; so one thread for all ports takes
//! connections that arrive at the holding sockets and copies their bytes. It exists once the first port is
//! published and sleeps unless such a connection is open.

mod worker;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

use crate::Protocol;

const WAKE: u64 = 0;

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
            thread.spawn(move || worker::Worker::new(shared).run())?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::time::Duration;

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

//! The name server inside containers of user-defined networks, at 127.0.0.11.
//!
//! Its sockets are opened in the container's namespace on ports the kernel chooses, and one nftables table in
//! there leads port 53 to them, so that a container may serve port 53 itself. One thread of the engine answers for
//! all containers: what [`names`] knows at once, everything else by asking the upstream servers.

mod message;
mod names;
mod server;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

pub(crate) use names::Names;

use crate::files::Upstream;
use crate::{netns, nft};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const WAKE: u64 = 0;

/// How a container's names are looked up.
#[derive(Debug, Clone, Default)]
pub struct DnsConfig {
    /// Servers for everything that is no container, in order.
    pub upstreams: Vec<Upstream>,
    /// Names only this container knows: the alias and the container name it stands for.
    pub links: Vec<(String, String)>,
}

/// The engine's name service.
#[derive(Debug)]
pub(crate) struct Dns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    wake: OwnedFd,
    names: Names,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    next: u64,
    /// By container id.
    clients: HashMap<String, Arc<Client>>,
    tokens: HashMap<u64, (Arc<Client>, Transport)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// One container's server.
#[derive(Debug)]
struct Client {
    container: String,
    netns: OwnedFd,
    udp: UdpSocket,
    tcp: TcpListener,
    tokens: [u64; 2],
    config: DnsConfig,
}

impl Dns {
    pub(crate) fn new() -> io::Result<Dns> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let state = Mutex::new(State { next: WAKE + 1, ..State::default() });
        Ok(Dns { shared: Arc::new(Shared { epoll, wake, names: Names::default(), state }) })
    }

    /// Who is called what.
    pub(crate) fn names(&self) -> &Names {
        &self.shared.names
    }

    /// Starts the server of a container, or replaces it.
    pub(crate) fn serve(&self, container: &str, netns: BorrowedFd<'_>, config: DnsConfig) -> io::Result<()> {
        let (udp, tcp) = netns::inside(netns, open)?;
        let owned = netns.try_clone_to_owned()?;
        let mut state = self.shared.lock();
        let tokens = [state.next_token(), state.next_token()];
        let client = Client { container: container.to_owned(), netns: owned, udp, tcp, tokens, config };
        epoll::add(&self.shared.epoll, &client.udp, EventData::new_u64(tokens[0]), EventFlags::IN)?;
        epoll::add(&self.shared.epoll, &client.tcp, EventData::new_u64(tokens[1]), EventFlags::IN)?;
        let client = Arc::new(client);
        state.tokens.insert(tokens[0], (Arc::clone(&client), Transport::Udp));
        state.tokens.insert(tokens[1], (Arc::clone(&client), Transport::Tcp));
        if let Some(old) = state.clients.insert(container.to_owned(), client) {
            self.shared.retire(&mut state, &old);
        }
        if !state.running {
            let worker = server::Worker::new(Arc::clone(&self.shared));
            let thread = std::thread::Builder::new().name("dns".into()).stack_size(256 << 10);
            thread.spawn(move || worker.run())?;
            state.running = true;
        }
        Ok(())
    }

    /// Whether a container has a server.
    pub(crate) fn serves(&self, container: &str) -> bool {
        self.shared.lock().clients.contains_key(container)
    }

    /// Stops the server of a container, whose namespace can end then.
    pub(crate) fn stop(&self, container: &str) {
        let mut state = self.shared.lock();
        if let Some(client) = state.clients.remove(container) {
            self.shared.retire(&mut state, &client);
        }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.lock().running = false;
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retire(&self, state: &mut State, client: &Client) {
        for (token, fd) in client.tokens.into_iter().zip([client.udp.as_fd(), client.tcp.as_fd()]) {
            state.tokens.remove(&token);
            let _ = epoll::delete(&self.epoll, fd);
        }
    }
}

impl State {
    fn next_token(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Opens the sockets and leads port 53 to them, inside the container's namespace.
fn open() -> io::Result<(UdpSocket, TcpListener)> {
    let any_port = SocketAddr::new(IpAddr::V4(ADDRESS), 0);
    let udp = UdpSocket::bind(any_port)?;
    let tcp = TcpListener::bind(any_port)?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    nft::redirect_dns(ADDRESS, udp.local_addr()?.port(), tcp.local_addr()?.port())?;
    Ok((udp, tcp))
}

//! A host in a box: a network namespace with an engine's networks, containers that are namespaces, and another
//! machine on a cable.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use wharf_db::Db;
use wharf_net::{
    EndpointSpec, EndpointState, Net, NetConfig, NetworkRecord, NetworkSpec, free_interface_name,
};

const PATIENCE: Duration = Duration::from_millis(1500);

pub(crate) struct Lab {
    pub(crate) db: Db,
    _folder: tempfile::TempDir,
}

impl Lab {
    /// Runs a test on a thread in a fresh network namespace.
    pub(crate) fn run(test: impl FnOnce(&Lab) + Send + 'static) {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        let result = std::thread::spawn(move || {
            enter_new_namespace();
            run("ip link set lo up");
            test(&Lab::new());
        });
        if let Err(panic) = result.join() {
            std::panic::resume_unwind(panic);
        }
    }

    pub(crate) fn open(&self) -> Net {
        Net::open(NetConfig::default(), self.db.clone()).unwrap()
    }

    fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("test.db")).unwrap();
        Lab { db, _folder: folder }
    }

    /// A second engine's database on the same host.
    pub(crate) fn second(&self) -> Lab {
        Lab::new()
    }

    /// A fresh engine's networks.
    pub(crate) fn start(&self) -> Net {
        let net = self.open();
        net.restore(&[]).unwrap();
        net
    }

    pub(crate) fn network(&self, net: &Net, spec: NetworkSpec) -> NetworkRecord {
        self.db.write(|tx| net.create_network(tx, spec)).unwrap()
    }

    pub(crate) fn container(&self, net: &Net, network: &str, name: &str) -> Container {
        let netns = new_namespace();
        let spec = spec(name);
        let state = self.db.write(|tx| net.allocate(tx, network, spec)).unwrap();
        net.attach(&state, netns.as_fd()).unwrap();
        Container { netns, state, db: self.db.clone() }
    }

    /// Connects a container to one more network.
    pub(crate) fn connect(&self, net: &Net, network: &str, container: &Container) -> EndpointState {
        let interface = free_interface_name(std::slice::from_ref(&container.state));
        let spec = EndpointSpec { interface, ..spec(&container.state.container_name) };
        let mut state = self.db.write(|tx| net.allocate(tx, network, spec)).unwrap();
        state.default_route = false;
        net.attach(&state, container.netns.as_fd()).unwrap();
        state
    }

    /// Another machine, 10.99.0.2, on the same cable as our 10.99.0.1.
    pub(crate) fn lan(&self) -> Container {
        let netns = new_namespace();
        let lan = Container { netns, state: EndpointState::default(), db: self.db.clone() };
        run(
            "ip link add lan0 type veth peer name lan1; ip addr add 10.99.0.1/24 dev lan0; ip link set lan0 up",
        );
        let owner = lan.park();
        run(&format!("ip link set lan1 netns {}", owner.id()));
        drop(owner);
        lan.run("ip link set lo up; ip addr add 10.99.0.2/24 dev lan1; ip link set lan1 up");
        lan
    }

    /// Answers every connection on the host with `text`.
    pub(crate) fn serve(&self, at: &str, text: &str) {
        serve(TcpListener::bind(at).unwrap(), text);
    }
}

fn spec(name: &str) -> EndpointSpec {
    EndpointSpec {
        container_id: format!("{name}-id"),
        container_name: name.to_owned(),
        names: vec![name.to_owned()],
        ..EndpointSpec::default()
    }
}

/// A network namespace that plays a container or another machine.
pub(crate) struct Container {
    netns: OwnedFd,
    pub(crate) state: EndpointState,
    db: Db,
}

/// A process that sits in a namespace until dropped.
pub(crate) struct Parked(RefCell<std::process::Child>);

impl Parked {
    fn id(&self) -> u32 {
        self.0.borrow().id()
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let mut child = self.0.borrow_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Container {
    pub(crate) fn ip(&self) -> String {
        self.state.ip.unwrap().to_string()
    }

    pub(crate) fn with_netns<T>(&self, work: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        work(self.netns.as_fd())
    }

    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let netns = self.netns.as_fd();
        let enter = move || {
            move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    fn park(&self) -> Parked {
        self.inside(|| Parked(RefCell::new(Command::new("sleep").arg("100").spawn().unwrap())))
    }

    pub(crate) fn serve(&self, port: u16, text: &str) {
        serve(self.inside(|| TcpListener::bind(("0.0.0.0", port)).unwrap()), text);
    }

    pub(crate) fn fetch(&self, at: &str) -> io::Result<String> {
        self.inside(|| fetch(at))
    }

    pub(crate) fn run(&self, script: &str) -> String {
        self.inside(|| run(script))
    }

    /// As the engine does when a container ends.
    pub(crate) fn stop(self, net: &Net) {
        net.unpublish(&self.state).unwrap();
        self.db.write(|tx| net.release(tx, &self.state)).unwrap();
        drop(self.netns);
        net.detach(&self.state).unwrap();
    }
}

fn serve(listener: TcpListener, text: &str) {
    let text = text.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut s| s.write_all(text.as_bytes()));
        }
    });
}

/// All that the server at this address says.
pub(crate) fn fetch(at: &str) -> io::Result<String> {
    let at: SocketAddr = at.to_socket_addrs()?.next().unwrap();
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    if text.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(text) }
}

/// Output of a shell script in the namespace of this thread.
pub(crate) fn run(script: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {text}{errors}");
    text
}

#[allow(deprecated)]
fn enter_new_namespace() {
    rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
}

fn new_namespace() -> OwnedFd {
    let make = || {
        enter_new_namespace();
        OwnedFd::from(std::fs::File::open("/proc/thread-self/ns/net").unwrap())
    };
    std::thread::spawn(make).join().unwrap()
}

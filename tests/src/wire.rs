//! A connection that breaks.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

/// A loopback port that leads to a server, counts the bytes that pass in both directions, and can be cut.
#[derive(Debug)]
pub struct Wire {
    /// Host and port.
    pub address: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    target: Mutex<String>,
    moved: AtomicU64,
    cuts: AtomicU64,
    /// Bytes after which a connection is cut.
    limit: AtomicU64,
    /// Whether the next cut is for all connections, until the wire leads somewhere again.
    breaks: AtomicBool,
    broken: AtomicBool,
}

impl Wire {
    /// A wire to a server.
    pub fn to(target: &str) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            target: Mutex::new(target.to_owned()),
            moved: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            breaks: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        });
        let address = listener.local_addr().unwrap().to_string();
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                thread::spawn(move || state.join(&client).ok());
            }
        });
        Wire { address, state }
    }

    /// Cuts each connection after so many bytes.
    pub fn cut_after(&self, bytes: u64) {
        self.state.limit.store(bytes, SeqCst);
    }

    /// Cuts all connections once one has moved so many bytes, and takes no new ones.
    pub fn break_after(&self, bytes: u64) {
        self.state.breaks.store(true, SeqCst);
        self.cut_after(bytes);
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.state.broken.load(SeqCst)
    }

    /// Leads to another server from now on, unbroken and uncut.
    pub fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.state.target.lock().unwrap());
        self.state.breaks.store(false, SeqCst);
        self.cut_after(u64::MAX);
        self.state.broken.store(false, SeqCst);
    }

    /// Bytes that have passed since the last call.
    pub fn moved(&self) -> u64 {
        self.state.moved.swap(0, SeqCst)
    }

    /// Connections that were cut.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(SeqCst)
    }
}

impl State {
    fn join(self: Arc<Self>, client: &TcpStream) -> std::io::Result<()> {
        if self.broken.load(SeqCst) {
            return client.shutdown(Shutdown::Both);
        }
        let target = self.target.lock().unwrap().clone();
        let server = TcpStream::connect(target)?;
        let passed = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| self.pump(client, &server, &passed));
            self.pump(&server, client, &passed);
        });
        Ok(())
    }

    fn pump(&self, mut from: &TcpStream, mut to: &TcpStream, passed: &AtomicU64) {
        let mut piece = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            self.moved.fetch_add(length as u64, SeqCst);
            let all = passed.fetch_add(length as u64, SeqCst) + length as u64;
            if self.broken.load(SeqCst) || all > self.limit.load(SeqCst) {
                self.cuts.fetch_add(1, SeqCst);
                self.broken.fetch_or(self.breaks.load(SeqCst), SeqCst);
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
            if to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

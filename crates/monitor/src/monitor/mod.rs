//! The monitor process: one thread, one loop around `poll(2)`.
//!
//! - [`container`]: the runtime's door
//! - [`session`]: a process with its standard streams; [`stdin`], [`attacher`] are its ends
//! - [`connection`], [`requests`]: control connections and what they may ask
//! - [`events`]: what has happened, kept for a daemon that was not there
//! - [`exit`]: the end
//! - [`poll`]: what is waited for
//!
//! Nothing here waits for a peer: sockets, pipes and terminals are non-blocking, and what cannot be handed on is queued,
//! spilled or dropped as documented. The runtime's `start` and `exec` are waited for; they end by themselves.

mod attacher;
mod connection;
mod container;
mod events;
mod exit;
mod poll;
mod requests;
mod session;
mod stdin;

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use serde::de::DeserializeOwned;
use wharf_oci::runtime::Spec;

use self::connection::Connection;
use self::container::Container;
use self::events::EventLog;
use self::poll::{Interests, Token};
use self::session::{Session, SpillDir, Streams};
use crate::config::{CONFIG_FILE, MonitorConfig, SPEC_FILE};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::protocol::{ErrorKind, Event, ExitStatus, Reply, State};

/// Bytes read at once: what a pipe holds.
const BUFFER: usize = 64 << 10;

/// The shortest wait: a deadline that has passed without effect must not make the loop spin.
const PATIENCE: Duration = Duration::from_millis(1);

/// The number of the container's own session; exec sessions follow.
const INIT: usize = 0;

/// The state of a monitor.
struct Monitor {
    dir: PathBuf,
    id: String,
    container: Container,
    /// The container's init, then exec sessions.
    sessions: Vec<Session>,
    connections: Vec<Connection>,
    listener: UnixListener,
    log: Log,
    events: EventLog,
    spill: SpillDir,
    state: State,
    started_at: Option<String>,
    oom_killed: bool,
    exit: Option<ExitStatus>,
    /// The exit is recorded elsewhere, or there is none to record.
    released: bool,
    buffer: Vec<u8>,
}

/// Runs a monitor in `dir` until its container has ended and that is known. `first` is the connection of the launch.
///
/// # Errors
/// When the container cannot be created, which `first` has been told, or the loop fails.
pub(crate) fn run(
    dir: PathBuf,
    first: UnixStream,
    listener: UnixListener,
    ready: impl FnOnce(&str),
) -> Result<()> {
    let mut first = Connection::new(first, true).map_err(Error::system("use the first connection"))?;
    // Requests wait in the listener until the loop runs.
    let mut monitor = match Monitor::create(dir, listener) {
        Ok(monitor) => monitor,
        Err(e) => {
            first.send(&e.reply());
            return Err(e.into_error());
        }
    };
    first.send(&Reply::Created { pid: monitor.container.pid() });
    // From here on the daemon sets up the network, and init its root. What neither needs comes now.
    ready(&monitor.id);
    monitor.container.prepare();
    monitor.connections.push(first);
    monitor.run()
}

/// Why there is no container.
enum CreateError {
    Own(Error),
    Runtime(wharf_runtime::Error),
}

impl CreateError {
    fn reply(&self) -> Reply {
        match self {
            CreateError::Own(e) => Reply::Error { kind: ErrorKind::Internal, message: describe(e) },
            CreateError::Runtime(e) => container::refusal(e, "create"),
        }
    }

    fn into_error(self) -> Error {
        match self {
            CreateError::Own(e) => e,
            CreateError::Runtime(e) => Error::Runtime(e),
        }
    }
}

impl From<Error> for CreateError {
    fn from(error: Error) -> CreateError {
        CreateError::Own(error)
    }
}

/// An error with its causes.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn document<T: DeserializeOwned>(path: PathBuf) -> Result<T> {
    let text = fs::read(&path).map_err(Error::path("read", &path))?;
    serde_json::from_slice(&text).map_err(|source| Error::Document { path, source })
}

impl Monitor {
    /// Creates the container, up to its start barrier. This is on the path of every launch.
    fn create(dir: PathBuf, listener: UnixListener) -> std::result::Result<Monitor, CreateError> {
        let config: MonitorConfig = document(dir.join(CONFIG_FILE))?;
        let spec: Spec = document(dir.join(SPEC_FILE))?;
        let streams = Streams { stdin: config.open_stdin, stdout: true, stderr: true };
        let (mut session, pipes) = if config.terminal {
            (Session::with_terminal(String::new(), config.open_stdin, config.console_size), None)
        } else {
            let (session, pipes) = Session::with_pipes(String::new(), streams)
                .map_err(|e| Error::system("make pipes")(e.into()))?;
            (session, Some(pipes))
        };
        session.stdin_once = config.stdin_once;
        let container = Container::create(&config, &dir, spec, pipes).map_err(CreateError::Runtime)?;
        listener.set_nonblocking(true).map_err(Error::system("use the listener"))?;
        let spill = if config.spill_dir.as_os_str().is_empty() { dir.clone() } else { config.spill_dir };
        Ok(Monitor {
            dir,
            id: config.id,
            container,
            sessions: vec![session],
            connections: Vec::new(),
            listener,
            log: Log::open(&config.log),
            events: EventLog::default(),
            spill: Rc::new(spill),
            state: State::Created,
            started_at: None,
            oom_killed: false,
            exit: None,
            released: false,
            buffer: vec![0; BUFFER],
        })
    }

    fn run(&mut self) -> Result<()> {
        while !self.is_done() {
            let mut set = Interests::default();
            self.interests(&mut set);
            let deadline = self.sessions.iter().filter_map(Session::deadline).min();
            let timeout = deadline.map(|end| end.saturating_duration_since(Instant::now()).max(PATIENCE));
            let ready = set.wait(timeout).map_err(Error::system("poll"))?;
            for (token, flags) in ready {
                self.handle(token, flags);
            }
            self.sweep();
        }
        Ok(())
    }

    fn interests<'a>(&'a self, set: &mut Interests<'a>) {
        for (number, session) in self.sessions.iter().enumerate() {
            session.interests(number, set);
        }
        set.add_readable(Token::Listener, &self.listener);
        for (i, connection) in self.connections.iter().enumerate() {
            if let Some(fd) = connection.fd() {
                set.add(Token::Connection(i), fd, connection.interest());
            }
        }
        if let Some((fd, flags)) = self.container.oom_events() {
            set.add(Token::Oom, fd, flags);
        }
        if let Some(fd) = self.log.compression() {
            set.add(Token::Compression, fd, PollFlags::IN);
        }
    }

    fn handle(&mut self, token: Token, flags: PollFlags) {
        match token {
            Token::Listener => self.accept(),
            Token::Connection(i) => self.connection_ready(i, flags),
            Token::Process(number) => {
                let log = (number == INIT).then_some(&mut self.log);
                if self.sessions[number].reap(&mut self.buffer, log) && number == INIT {
                    self.init_ended();
                }
            }
            Token::Output(number, i) => {
                let log = (number == INIT).then_some(&mut self.log);
                self.sessions[number].read_output(i, &mut self.buffer, log);
            }
            Token::Stdin(number) => self.sessions[number].flush_stdin(),
            Token::Attacher(number, i) => {
                if self.sessions[number].attacher_ready(i, flags, &mut self.buffer) {
                    self.detached(number);
                }
            }
            Token::Oom => self.check_oom(),
            Token::Compression => self.log.compressed(),
        }
    }

    fn accept(&mut self) {
        // Failing for want of descriptors is no reason to end: the peer will notice.
        if let Ok((stream, _)) = self.listener.accept()
            && let Ok(connection) = Connection::new(stream, false)
        {
            self.connections.push(connection);
        }
    }

    fn check_oom(&mut self) {
        if self.container.was_oom_killed() {
            self.oom_killed = true;
            self.emit(Event::Oom);
        }
    }

    fn detached(&mut self, number: usize) {
        let id = &self.sessions[number].id;
        let exec = (number != INIT).then(|| id.clone());
        self.emit(Event::Detached { exec });
    }

    /// Tells subscribers what has happened, and keeps it.
    fn emit(&mut self, event: Event) {
        let event = self.events.add(event);
        for connection in self.connections.iter_mut().filter(|c| c.subscribed) {
            connection.send(&event);
        }
    }

    /// Removes what has ended in this round.
    fn sweep(&mut self) {
        for session in &mut self.sessions {
            session.sweep();
        }
        self.sweep_execs();
        self.sweep_init();
        let aborted = self.state == State::Created && self.connections.iter().any(|c| c.is_first && c.closed);
        self.connections.retain(|connection| !connection.closed);
        if aborted {
            self.abort();
        }
    }

    /// Whether nobody needs this process any more: the container has ended, its output has been delivered, and its exit
    /// is recorded or there is nobody here to record it.
    fn is_done(&self) -> bool {
        if self.state != State::Exited || self.sessions.iter().any(|s| !s.attachers.is_empty()) {
            return false;
        }
        if self.connections.iter().any(Connection::is_behind) {
            return false;
        }
        self.released || self.connections.is_empty()
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

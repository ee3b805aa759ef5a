//! The blocking client of one monitor.
//!
//! Streams and event subscriptions are connections of their own and are handed out as sockets, so that an
//! asynchronous caller can take them over ([`FrameDecoder`] cuts an event stream into messages).

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;

use crate::config::{EXIT_FILE, SOCKET_FILE};
use crate::error::{Error, Result};
use crate::protocol::{
    AttachSpec, ConsoleSize, ErrorKind, ExecSpec, ExitStatus, FrameDecoder, Reply, Request, Sequenced,
    Status, encode,
};

/// A connection to the monitor of one container. Its methods block until the monitor has answered; they may be called
/// from several threads at once and then take turns.
#[derive(Debug)]
pub struct Client {
    dir: PathBuf,
    control: Mutex<Control>,
}

#[derive(Debug)]
struct Control {
    stream: Option<Channel>,
    /// Set while this connection is the one the launch returned and `Created` has not been read from it.
    greeting_due: bool,
    /// Set until the start barrier is released: the monitor takes the loss of this connection as an abort, so it must
    /// not be replaced.
    barrier: bool,
    pid: Option<i32>,
}

/// What a released start barrier returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Pid of init.
    pub pid: i32,
    /// When it started, RFC 3339.
    pub started_at: String,
}

/// A started exec session.
#[derive(Debug)]
pub struct Exec {
    /// Its pid.
    pub pid: i32,
    /// Its stream, `None` when it was started detached.
    pub stream: Option<UnixStream>,
}

impl Client {
    /// Connects to the monitor that runs in `dir`, as a restarted daemon does.
    ///
    /// # Errors
    /// [`Error::Gone`] when none answers; [`read_exit`] may then tell how the container ended.
    pub fn connect(dir: &Path) -> Result<Client> {
        let stream = connect(dir)?;
        let control =
            Control { stream: Some(Channel::new(stream)), greeting_due: false, barrier: false, pid: None };
        Ok(Client { dir: dir.to_owned(), control: Mutex::new(control) })
    }

    /// The client of a monitor that was just launched; `stream` is its first connection.
    pub(crate) fn launched(dir: &Path, stream: UnixStream) -> Client {
        let control =
            Control { stream: Some(Channel::new(stream)), greeting_due: true, barrier: true, pid: None };
        Client { dir: dir.to_owned(), control: Mutex::new(control) }
    }

    /// The monitor's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Waits until init exists and returns its pid: `/proc/<pid>/ns/net` is there from then on. Dropping the client
    /// before [`Client::start`] has returned aborts the launch and removes everything.
    ///
    /// # Errors
    /// [`Error::Remote`] when the container cannot be created, [`Error::Closed`] when the monitor died.
    pub fn created(&self) -> Result<i32> {
        let mut control = self.lock();
        if control.greeting_due {
            let reply = control.channel(&self.dir)?.receive::<Reply>(&self.dir);
            control.greeting_due = false;
            match reply? {
                Reply::Created { pid } => control.pid = Some(pid),
                reply => return Err(unexpected(reply)),
            }
        }
        match control.pid {
            Some(pid) => Ok(pid),
            None => match control.request(&self.dir, &Request::Status)? {
                Reply::Status(status) => Ok(status.pid),
                reply => Err(unexpected(reply)),
            },
        }
    }

    /// Releases the start barrier and waits until the program runs.
    ///
    /// # Errors
    /// [`Error::Remote`] when it cannot be started: [`ErrorKind::NotFound`] and [`ErrorKind::NotExecutable`] with the
    /// words of runc. The monitor has then removed everything and is gone.
    pub fn start(&self) -> Result<Started> {
        self.created()?;
        let mut control = self.lock();
        let reply = control.request(&self.dir, &Request::Start)?;
        match reply {
            Reply::Started { pid, started_at } => {
                control.barrier = false;
                Ok(Started { pid, started_at })
            }
            reply => Err(unexpected(reply)),
        }
    }

    /// Sends a signal to init, or with `all` to every process of the container.
    ///
    /// # Errors
    /// [`ErrorKind::NotRunning`] when init has ended, [`ErrorKind::InvalidRequest`] for a number that is no signal.
    pub fn kill(&self, signal: i32, all: bool) -> Result<()> {
        self.done(&Request::Kill { signal, all })
    }

    /// Freezes the container.
    ///
    /// # Errors
    /// [`ErrorKind::Paused`] when it is frozen already, [`ErrorKind::NotRunning`].
    pub fn pause(&self) -> Result<()> {
        self.done(&Request::Pause)
    }

    /// Thaws the container.
    ///
    /// # Errors
    /// [`ErrorKind::NotPaused`], [`ErrorKind::NotRunning`].
    pub fn resume(&self) -> Result<()> {
        self.done(&Request::Resume)
    }

    /// Sets the size of the container's terminal, in rows and columns. Without a terminal nothing happens.
    ///
    /// # Errors
    /// [`ErrorKind::NotRunning`] when the container has ended.
    pub fn resize(&self, height: u16, width: u16) -> Result<()> {
        self.done(&Request::Resize(ConsoleSize { height, width }))
    }

    /// Where the container stands.
    ///
    /// # Errors
    /// [`Error::Gone`] or [`Error::Closed`] when the monitor has ended.
    pub fn status(&self) -> Result<Status> {
        match self.lock().request(&self.dir, &Request::Status)? {
            Reply::Status(status) => Ok(*status),
            reply => Err(unexpected(reply)),
        }
    }

    /// Starts another process in the container. Unless it is detached, the stream returned carries exactly the bytes
    /// of a hijacked Docker connection: raw on a terminal, otherwise frames of 8 bytes of header and the payload.
    /// Shutting down its write half is the end of standard input.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotExecutable`] and [`ErrorKind::BadProcess`] with the words of runc;
    /// [`ErrorKind::Paused`], [`ErrorKind::NotRunning`], [`ErrorKind::Exists`].
    pub fn exec(&self, spec: &ExecSpec) -> Result<Exec> {
        let mut channel = Channel::new(connect(&self.dir)?);
        match channel.ask(&self.dir, &Request::Exec(Box::new(spec.clone())))? {
            Reply::ExecStarted { pid } => {
                Ok(Exec { pid, stream: if spec.detach { None } else { Some(channel.stream) } })
            }
            reply => Err(unexpected(reply)),
        }
    }

    /// Sets the size of an exec session's terminal, in rows and columns.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchExec`].
    pub fn exec_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        self.done(&Request::ExecResize { id: id.to_owned(), size: ConsoleSize { height, width } })
    }

    /// Sends a signal to the process of an exec session.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchExec`] when there is none of that id or it has ended.
    pub fn exec_kill(&self, id: &str, signal: i32) -> Result<()> {
        self.done(&Request::ExecKill { id: id.to_owned(), signal })
    }

    /// Attaches to the container, or to an exec session. May be called from the moment of the launch on: what is
    /// attached before [`Client::start`] sees the output from its first byte. The stream is as in [`Client::exec`];
    /// it ends when all output has been delivered, when its detach keys were typed or when it was cut off for having
    /// left more than the monitor can hold unread.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for detach keys that cannot be parsed, [`ErrorKind::NoSuchExec`],
    /// [`ErrorKind::NotRunning`].
    pub fn attach(&self, spec: &AttachSpec) -> Result<UnixStream> {
        let mut channel = Channel::new(connect(&self.dir)?);
        match channel.ask(&self.dir, &Request::Attach(spec.clone()))? {
            Reply::Ok => Ok(channel.stream),
            reply => Err(unexpected(reply)),
        }
    }

    /// Subscribes to what happens to the container, beginning with the events kept whose number is greater than
    /// `after`. Nothing is missed between the two.
    ///
    /// # Errors
    /// [`Error::Gone`] when the monitor has ended.
    pub fn events(&self, after: u64) -> Result<Events> {
        let mut channel = Channel::new(connect(&self.dir)?);
        match channel.ask(&self.dir, &Request::Subscribe { after })? {
            Reply::Ok => Ok(Events { dir: self.dir.clone(), channel }),
            reply => Err(unexpected(reply)),
        }
    }

    /// Makes the monitor open its log file anew.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when it cannot be opened; entries are then dropped and counted.
    pub fn reopen_log(&self) -> Result<()> {
        self.done(&Request::ReopenLog)
    }

    /// Returns once everything the container had written before the call is in the log file, but for a line that has
    /// no end yet.
    ///
    /// # Errors
    /// [`Error::Gone`] or [`Error::Closed`] when the monitor has ended: then everything is.
    pub fn flush_log(&self) -> Result<()> {
        self.done(&Request::FlushLog)
    }

    /// Tells a monitor whose container has ended that its exit is recorded: it goes once attached streams have been
    /// delivered. To lose all control and event connections has the same effect.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] while the container runs.
    pub fn release(&self) -> Result<()> {
        self.done(&Request::Release)
    }

    fn done(&self, request: &Request) -> Result<()> {
        match self.lock().request(&self.dir, request)? {
            Reply::Ok => Ok(()),
            reply => Err(unexpected(reply)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        // A panic in between leaves at worst a connection that is out of step, which the next reply shows.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// The control connection, made anew when the last one failed.
    fn channel(&mut self, dir: &Path) -> Result<&mut Channel> {
        if self.stream.is_none() && self.barrier {
            return Err(Error::Closed { dir: dir.to_owned() });
        }
        match &mut self.stream {
            Some(channel) => Ok(channel),
            empty => Ok(empty.insert(Channel::new(connect(dir)?))),
        }
    }

    fn request(&mut self, dir: &Path, request: &Request) -> Result<Reply> {
        let reply = self.channel(dir)?.ask(dir, request);
        if reply.is_err() {
            self.stream = None;
        }
        reply
    }
}

/// A subscription to events. Iterating blocks; the iterator ends when the monitor has gone.
#[derive(Debug)]
pub struct Events {
    dir: PathBuf,
    channel: Channel,
}

impl Events {
    /// The connection and the bytes already read from it, for an asynchronous caller: push the bytes, then what is read
    /// from the socket, into a [`FrameDecoder`] and take [`Sequenced`] messages out of it.
    #[must_use]
    pub fn into_parts(self) -> (UnixStream, FrameDecoder) {
        (self.channel.stream, self.channel.decoder)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.stream.as_fd()
    }
}

impl Iterator for Events {
    type Item = Result<Sequenced>;

    fn next(&mut self) -> Option<Result<Sequenced>> {
        match self.channel.receive(&self.dir) {
            Err(Error::Closed { .. }) => None,
            event => Some(event),
        }
    }
}

/// One connection and what was read from it beyond the last message.
#[derive(Debug)]
struct Channel {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl Channel {
    fn new(stream: UnixStream) -> Channel {
        Channel { stream, decoder: FrameDecoder::new() }
    }

    fn ask(&mut self, dir: &Path, request: &Request) -> Result<Reply> {
        let frame = encode(request)?;
        match self.stream.write_all(&frame) {
            Ok(()) => self.reply(dir),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Error::Closed { dir: dir.to_owned() }),
            Err(e) => Err(Error::System { action: "write to the monitor", source: e }),
        }
    }

    /// Reads one reply and not a byte more: a stream may begin right behind it.
    fn reply(&mut self, dir: &Path) -> Result<Reply> {
        let mut header = [0; 4];
        self.read_exact(dir, &mut header)?;
        self.decoder.push(&header);
        let length = u32::from_be_bytes(header) as usize;
        if length <= crate::protocol::MAX_FRAME {
            let mut body = vec![0; length];
            self.read_exact(dir, &mut body)?;
            self.decoder.push(&body);
        }
        match self.decoder.message()? {
            Some(reply) => Ok(reply),
            None => Err(Error::Frame { reason: "incomplete".into() }),
        }
    }

    fn receive<T: DeserializeOwned>(&mut self, dir: &Path) -> Result<T> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(message);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Error::Closed { dir: dir.to_owned() }),
                Ok(n) => self.decoder.push(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Error::Closed { dir: dir.to_owned() });
                }
                Err(e) => return Err(Error::System { action: "read from the monitor", source: e }),
            }
        }
    }

    fn read_exact(&mut self, dir: &Path, buffer: &mut [u8]) -> Result<()> {
        self.stream.read_exact(buffer).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                Error::Closed { dir: dir.to_owned() }
            }
            _ => Error::System { action: "read from the monitor", source: e },
        })
    }
}

/// Reads how the container of a monitor's directory ended; `None` when there is no record of it.
///
/// # Errors
/// [`Error::Path`] and [`Error::Document`] when there is one that cannot be read.
pub fn read_exit(dir: &Path) -> Result<Option<ExitStatus>> {
    let path = dir.join(EXIT_FILE);
    match fs::read(&path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(status) => Ok(Some(status)),
            Err(source) => Err(Error::Document { path, source }),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::path("read", path)(e)),
    }
}

fn connect(dir: &Path) -> Result<UnixStream> {
    let gone = |source: io::Error| Error::Gone { dir: dir.to_owned(), source };
    let folder = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| gone(e.into()))?;
    UnixStream::connect(socket_path(folder.as_fd())).map_err(gone)
}

/// A path to the socket in an open directory that fits a socket address however deep the directory lies.
pub(crate) fn socket_path(dir: BorrowedFd<'_>) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd()))
}

fn unexpected(reply: Reply) -> Error {
    match reply {
        Reply::Error { kind, message } => Error::Remote { kind, message },
        reply => Error::Remote { kind: ErrorKind::Internal, message: format!("unexpected answer {reply:?}") },
    }
}

//! A process with its standard streams: the container's init or an exec session.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::attacher::{Attacher, InputEnd};
use super::poll::{Interests, Token};
use super::stdin::Stdin;
use crate::log::{Log, Stream};
use crate::protocol::ConsoleSize;

/// How long a pipe may stay open after the process has ended, held by something that it left behind.
const LINGER: Duration = Duration::from_secs(2);
/// Reads of one output in a row, so that one busy stream does not starve the others.
const BURST: usize = 16;
/// Size of a busy stream's pipe.
const WIDE: usize = 256 << 10;

/// The streams a new process is given, at its end.
#[derive(Debug)]
pub(super) struct ChildStreams {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Which of its streams somebody may want.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

#[derive(Debug)]
struct Output {
    fd: OwnedFd,
    stream: Stream,
    /// Its pipe has had its chance to grow.
    widened: bool,
}

impl Output {
    fn new(fd: OwnedFd, stream: Stream) -> Output {
        Output { fd, stream, widened: false }
    }

    /// Gives a stream that keeps its pipe full a larger one: writer and monitor then switch less often. Not from the
    /// start, since the kernel counts the pages of all pipes of a user and has a limit.
    fn widen(&mut self) {
        if !self.widened {
            self.widened = true;
            // Refused for a terminal, and beyond the limit.
            let _ = rustix::pipe::fcntl_setpipe_size(&self.fd, WIDE);
        }
    }
}

/// A terminal's master, and its slave kept open: while nobody has it open the master only reports a hang-up, though the
/// process may open it again.
#[derive(Debug)]
struct Terminal {
    master: OwnedFd,
    slave: Option<OwnedFd>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// Exit code; 128 + n for a signal.
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
}

#[derive(Debug)]
pub(super) struct Session {
    /// Id of the exec session, empty for the container.
    pub(super) id: String,
    pub(super) terminal: bool,
    /// The end of an attached stream's input is the end of the process's.
    pub(super) stdin_once: bool,
    pub(super) pid: i32,
    pidfd: Option<OwnedFd>,
    pub(super) ended: Option<Ended>,
    /// The end of an exec session has been told.
    pub(super) reported: bool,
    drain_until: Option<Instant>,
    console: Option<Terminal>,
    size: Option<ConsoleSize>,
    stdin: Stdin,
    outputs: Vec<Output>,
    pub(super) attachers: Vec<Attacher>,
}

impl Session {
    /// A session with a terminal, which [`Session::start`] will be given.
    pub(super) fn with_terminal(id: String, stdin: bool, size: Option<ConsoleSize>) -> Session {
        let stdin = if stdin { Stdin::expected() } else { Stdin::default() };
        Session { terminal: true, size, ..Session::new(id, stdin, Vec::new()) }
    }

    /// A session with pipes for the streams in use and `/dev/null` for the others.
    pub(super) fn with_pipes(id: String, streams: Streams) -> rustix::io::Result<(Session, ChildStreams)> {
        let mut outputs = Vec::new();
        let mut output = |used: bool, stream: Stream| {
            if !used {
                return null();
            }
            let (fd, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&fd, true)?;
            outputs.push(Output::new(fd, stream));
            Ok(theirs)
        };
        let stdout = output(streams.stdout, Stream::Stdout)?;
        let stderr = output(streams.stderr, Stream::Stderr)?;
        let (stdin, theirs) = if streams.stdin {
            let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&ours, true)?;
            (Stdin::pipe(ours), theirs)
        } else {
            (Stdin::default(), null()?)
        };
        Ok((Session::new(id, stdin, outputs), ChildStreams { stdin: theirs, stdout, stderr }))
    }

    fn new(id: String, stdin: Stdin, outputs: Vec<Output>) -> Session {
        Session {
            id,
            terminal: false,
            stdin_once: false,
            pid: 0,
            pidfd: None,
            ended: None,
            reported: false,
            drain_until: None,
            console: None,
            size: None,
            stdin,
            outputs,
            attachers: Vec::new(),
        }
    }

    /// The process runs; `master` is its terminal.
    pub(super) fn start(
        &mut self,
        pid: i32,
        pidfd: OwnedFd,
        master: Option<OwnedFd>,
    ) -> rustix::io::Result<()> {
        self.pid = pid;
        self.pidfd = Some(pidfd);
        let Some(master) = master else { return Ok(()) };
        rustix::io::ioctl_fionbio(&master, true)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).ok();
        self.outputs.push(Output::new(master.try_clone().map_err(errno)?, Stream::Stdout));
        self.stdin.connect(master.try_clone().map_err(errno)?);
        self.console = Some(Terminal { master, slave });
        if let Some(size) = self.size {
            self.resize(size);
        }
        Ok(())
    }

    /// Sets the size of the terminal, or keeps it until there is one.
    pub(super) fn resize(&mut self, size: ConsoleSize) {
        self.size = Some(size);
        if let Some(console) = &self.console {
            let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
            // Fails only when the terminal is gone.
            let _ = rustix::termios::tcsetwinsize(&console.master, size);
        }
    }

    /// The process, while it runs.
    pub(super) fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }

    pub(super) fn interests<'a>(&'a self, number: usize, set: &mut Interests<'a>) {
        for (i, output) in self.outputs.iter().enumerate() {
            set.add_readable(Token::Output(number, i), &output.fd);
        }
        if let Some(fd) = self.stdin.blocked() {
            set.add(Token::Stdin(number), fd, PollFlags::OUT);
        }
        for (i, attacher) in self.attachers.iter().enumerate() {
            let flags = attacher.interest(self.stdin.takes_more());
            set.add(Token::Attacher(number, i), attacher.fd(), flags);
        }
        if let Some(pidfd) = &self.pidfd {
            set.add_readable(Token::Process(number), pidfd);
        }
    }

    /// When the session has to be looked at even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.drain_until
    }

    /// Passes on what one output holds: first to the log, then to the attached streams. This is where the container's
    /// output rate is decided: per 64 KiB one read and one send per attached stream, and fewer writes of the log.
    pub(super) fn read_output(&mut self, index: usize, buffer: &mut [u8], mut log: Option<&mut Log>) {
        self.read_burst(index, buffer, log.as_deref_mut());
        if let Some(log) = log {
            log.flush();
        }
    }

    fn read_burst(&mut self, index: usize, buffer: &mut [u8], mut log: Option<&mut Log>) {
        let Some(output) = self.outputs.get_mut(index) else { return };
        let stream = output.stream;
        for _ in 0..BURST {
            let length = match rustix::io::read(&output.fd, &mut *buffer) {
                Ok(0) => return self.end_output(stream),
                Ok(length) => length,
                Err(Errno::AGAIN | Errno::INTR) => return,
                // A terminal reports EIO when nobody has it open any more.
                Err(_) => return self.end_output(stream),
            };
            if let Some(log) = log.as_deref_mut() {
                log.write(stream, &buffer[..length]);
            }
            for attacher in &mut self.attachers {
                attacher.send(stream, &buffer[..length]);
            }
            if length < buffer.len() {
                return;
            }
        }
        output.widen();
    }

    /// Passes on everything that has been written up to now.
    pub(super) fn read_all(&mut self, buffer: &mut [u8], mut log: Option<&mut Log>) {
        for index in (0..self.outputs.len()).rev() {
            let Some(output) = self.outputs.get(index) else { continue };
            // A process that writes without end must not keep the monitor here: only what is there now counts.
            let there = rustix::io::ioctl_fionread(&output.fd).unwrap_or(0);
            let rounds = there / (buffer.len() * BURST) as u64 + 1;
            for _ in 0..rounds {
                self.read_output(index, buffer, log.as_deref_mut());
            }
        }
    }

    fn end_output(&mut self, stream: Stream) {
        self.outputs.retain(|output| output.stream != stream);
    }

    pub(super) fn flush_stdin(&mut self) {
        self.stdin.flush();
    }

    /// Handles an attached stream that is ready; returns whether its detach keys were typed.
    pub(super) fn attacher_ready(&mut self, index: usize, flags: PollFlags, buffer: &mut [u8]) -> bool {
        let Some(attacher) = self.attachers.get_mut(index) else { return false };
        if flags.contains(PollFlags::OUT) {
            attacher.flush();
        }
        let mut input = Vec::new();
        let end = if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            attacher.hang_up(buffer, &mut input)
        } else if flags.contains(PollFlags::IN) {
            attacher.read(buffer, &mut input)
        } else {
            None
        };
        self.input(index, &input, end)
    }

    /// Adds an attached stream, from which `first` has been read already.
    pub(super) fn attach(&mut self, mut attacher: Attacher, first: &[u8]) -> bool {
        let mut input = Vec::new();
        let end = if attacher.wants_input() { attacher.take(first, &mut input) } else { None };
        if self.ended.is_some() && self.is_drained() {
            attacher.end();
        }
        self.attachers.push(attacher);
        self.input(self.attachers.len() - 1, &input, end)
    }

    fn input(&mut self, index: usize, input: &[u8], end: Option<InputEnd>) -> bool {
        self.stdin.write(input);
        if end == Some(InputEnd::Eof) {
            if self.stdin_once && !self.terminal {
                self.stdin.close();
            } else {
                // compat: the end of input ends the whole attached stream unless it is the process's end of input.
                self.attachers[index].end();
            }
        }
        end == Some(InputEnd::Detached)
    }

    /// Reaps the process; `true` when it has ended just now.
    pub(super) fn reap(&mut self, buffer: &mut [u8], log: Option<&mut Log>) -> bool {
        let Some(pidfd) = &self.pidfd else { return false };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let ended = match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(Some(status)) => ended(&status),
            Ok(None) | Err(Errno::INTR) => return false,
            // Somebody else has reaped it: its status is lost.
            Err(_) => Ended { code: 255, signal: None },
        };
        self.ended = Some(ended);
        self.pidfd = None;
        self.drain_until = Some(Instant::now() + LINGER);
        self.stdin.end();
        self.read_all(buffer, log);
        if let Some(console) = &mut self.console {
            // What a terminal holds is complete once its process has ended; others may keep it open for ever.
            console.slave = None;
            self.outputs.clear();
        }
        true
    }

    /// Whether the process has ended and all its output has been taken, or will not be waited for any longer.
    pub(super) fn is_drained(&self) -> bool {
        let overdue = self.drain_until.is_some_and(|end| Instant::now() >= end);
        self.ended.is_some() && (self.outputs.is_empty() || overdue)
    }

    /// No more output comes: attached streams end once they have taken all of it.
    pub(super) fn finish(&mut self) {
        self.outputs.clear();
        self.console = None;
        self.drain_until = None;
        self.stdin.end();
        for attacher in &mut self.attachers {
            attacher.end();
        }
    }

    /// Removes attached streams that have ended.
    pub(super) fn sweep(&mut self) {
        let mut index = 0;
        while index < self.attachers.len() {
            if !self.attachers[index].is_done() {
                index += 1;
                continue;
            }
            let attacher = self.attachers.swap_remove(index);
            if attacher.wants_input() && self.stdin_once && !self.terminal {
                self.stdin.close();
            }
            attacher.close();
        }
    }
}

/// Where spilled output of attached streams goes.
pub(super) type SpillDir = Rc<PathBuf>;

fn ended(status: &WaitIdStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended { code, signal: None },
        (None, Some(signal)) => Ended { code: 128 + signal, signal: Some(signal) },
        (None, None) => Ended { code: 255, signal: None },
    }
}

fn null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

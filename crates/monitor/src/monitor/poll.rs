//! What the monitor waits for. The set is built anew for every wait from the state it depends on, so it cannot go stale;
//! a container has a handful of descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whose descriptor it is. Positions stay valid until the end of a round: what ends is removed after it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token {
    Listener,
    Connection(usize),
    /// The process of a session.
    Process(usize),
    /// An output of a session.
    Output(usize, usize),
    Stdin(usize),
    Attacher(usize, usize),
    Oom,
    Compression,
}

/// Descriptors to wait for.
#[derive(Debug, Default)]
pub(super) struct Interests<'a> {
    fds: Vec<PollFd<'a>>,
    tokens: Vec<Token>,
}

impl<'a> Interests<'a> {
    pub(super) fn add(&mut self, token: Token, fd: BorrowedFd<'a>, flags: PollFlags) {
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
        self.tokens.push(token);
    }

    pub(super) fn add_readable(&mut self, token: Token, fd: &'a impl AsFd) {
        self.add(token, fd.as_fd(), PollFlags::IN);
    }

    /// Waits until something is ready or the time is over, and returns what is.
    pub(super) fn wait(mut self, timeout: Option<Duration>) -> io::Result<Vec<(Token, PollFlags)>> {
        let timeout =
            timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: i64::from(t.subsec_nanos()) });
        match poll(&mut self.fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = self.tokens.into_iter().zip(self.fds.iter().map(PollFd::revents));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }
}

//! The messages between a container's parent and its first process while it is being set up.
//!
//! A `SOCK_SEQPACKET` pair: one message is one byte that says what it is, then its payload. Closing means the other side is
//! gone, so a child whose parent died ends by itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use wharf_sys::socket;

use crate::error::{Context, Error, Result};

/// Longest message; longer error texts are cut.
const MAX: usize = 4096;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To the child: the user namespace has its id maps.
    Mapped = b'm',
    /// To the child: the cgroup exists and has its limits.
    Cgroup = b'c',
    /// To the child: the hooks have run.
    HooksDone = b'h',
    /// To the child: execute the program.
    Go = b'g',
    /// To the parent: run the hooks that need the namespaces.
    Hooks = b'H',
    /// To the parent: the terminal's master.
    Terminal = b'T',
    /// To the parent: everything is prepared.
    Ready = b'R',
    /// To the parent: a step failed; carries the text.
    Failed = b'E',
    /// To the parent: the seccomp notification descriptor's number in the child; back: it was taken.
    SeccompFd = b'S',
    /// To the parent: the id of the process that a helper made for it.
    Pid = b'P',
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        use Kind::{Cgroup, Failed, Go, Hooks, HooksDone, Mapped, Pid, Ready, SeccompFd, Terminal};
        [Mapped, Cgroup, HooksDone, Go, Hooks, Ready, Terminal, Failed, SeccompFd, Pid]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A received message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Both ends: the parent's and the child's.
    pub(crate) fn pair() -> Result<(Self, Self)> {
        let (parent, child) = socket::seqpacket_pair().setup(|| "socketpair".into())?;
        Ok((Self(parent), Self(child)))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sends with plain `write`, which every seccomp filter allows.
    pub(crate) fn send(&self, kind: Kind, payload: &[u8]) -> Result<()> {
        let mut message = vec![kind as u8];
        message.extend_from_slice(&payload[..payload.len().min(MAX - 1)]);
        rustix::io::retry_on_intr(|| rustix::io::write(&self.0, &message))
            .map(drop)
            .setup(|| "write to peer".into())
    }

    pub(crate) fn send_fd(&self, kind: Kind, fd: BorrowedFd<'_>) -> Result<()> {
        socket::send_fds(&self.0, &[kind as u8], &[fd]).map(drop).setup(|| "write to peer".into())
    }

    /// The next message, `None` when the other side is gone.
    pub(crate) fn recv(&self) -> Result<Option<Message>> {
        let mut buffer = [0; MAX];
        let received = match socket::recv_fds(&self.0, &mut buffer) {
            // The other side ended with a message of ours unread; what it said before is still to be had.
            Err(wharf_sys::Errno::CONNRESET) => socket::recv_fds(&self.0, &mut buffer),
            other => other,
        };
        let (length, fds) = received.setup(|| "read from peer".into())?;
        if length == 0 {
            return Ok(None);
        }
        let kind = Kind::of(buffer[0]).ok_or_else(|| Error::setup("unexpected message from peer"))?;
        Ok(Some(Message { kind, payload: buffer[1..length].to_vec(), fds }))
    }

    /// Waits for exactly `kind` with plain `read`; fails when the parent is gone.
    pub(crate) fn expect(&self, kind: Kind) -> Result<()> {
        let mut buffer = [0; 16];
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut buffer))
            .init(|| "read from peer".into())?;
        if length == 1 && buffer[0] == kind as u8 {
            return Ok(());
        }
        Err(Error::Init("the container's parent process is gone".into()))
    }
}

//! Standard streams for a program of a single thread that must go on with other things while they block.
//!
//! The streams are shared with other programs, so they stay in blocking mode: each is asked whether it is ready
//! first, and given no more than it takes at once.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{Interest, unix::AsyncFd};

/// What a pipe that is ready takes without blocking (`PIPE_BUF`).
const PIECE: usize = 4096;

/// One of the three standard streams.
#[derive(Debug)]
pub(crate) struct Stdio {
    fd: Standard,
    /// Made when the stream is not ready for the first time.
    readiness: Option<AsyncFd<Standard>>,
    /// A file is always ready, and the kernel refuses to watch it.
    always_ready: bool,
}

#[derive(Debug, Clone, Copy)]
enum Standard {
    In,
    Out,
    Err,
}

impl Standard {
    fn fd(self) -> BorrowedFd<'static> {
        match self {
            Self::In => rustix::stdio::stdin(),
            Self::Out => rustix::stdio::stdout(),
            Self::Err => rustix::stdio::stderr(),
        }
    }
}

impl AsRawFd for Standard {
    fn as_raw_fd(&self) -> RawFd {
        self.fd().as_raw_fd()
    }
}

impl Stdio {
    fn new(fd: Standard) -> Self {
        let file = rustix::fs::fstat(fd.fd())
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
        Self { fd, readiness: None, always_ready: file }
    }

    /// Standard input.
    pub(crate) fn input() -> Self {
        Self::new(Standard::In)
    }

    /// Standard output.
    pub(crate) fn output() -> Self {
        Self::new(Standard::Out)
    }

    /// Standard error.
    pub(crate) fn error() -> Self {
        Self::new(Standard::Err)
    }

    /// Reads what is there, at least a byte; 0 at the end.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.ready(PollFlags::IN, Interest::READABLE).await?;
            match rustix::io::read(self.fd.fd(), &mut *buffer) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                // What a terminal says whose other end is gone.
                Err(rustix::io::Errno::IO) => return Ok(0),
                other => return Ok(other?),
            }
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// Those of `write(2)`.
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.ready(PollFlags::OUT, Interest::WRITABLE).await?;
            let piece = if self.always_ready { bytes } else { &bytes[..bytes.len().min(PIECE)] };
            match rustix::io::write(self.fd.fd(), piece) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                other => bytes = &bytes[other?..],
            }
        }
        Ok(())
    }

    async fn ready(&mut self, flags: PollFlags, interest: Interest) -> io::Result<()> {
        while !self.always_ready && !self.is_ready(flags)? {
            if self.readiness.is_none() {
                #[expect(deprecated, reason = "its successor is unsafe; the standard streams never close")]
                match AsyncFd::with_interest(self.fd, interest) {
                    Ok(readiness) => self.readiness = Some(readiness),
                    Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
                        self.always_ready = true;
                    }
                    Err(error) => return Err(error),
                }
            }
            if let Some(readiness) = &self.readiness {
                let mut guard = readiness.ready(interest).await?;
                // Another program may have taken what was there.
                if !self.is_ready(flags)? {
                    guard.clear_ready();
                }
            }
        }
        Ok(())
    }

    fn is_ready(&self, flags: PollFlags) -> io::Result<bool> {
        let fd = self.fd.fd();
        let mut fds = [PollFd::new(&fd, flags)];
        Ok(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
    }
}

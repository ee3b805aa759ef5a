//! The writing side of a process's standard input.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

/// Attached streams are not read while this much waits for the process.
const ENOUGH: usize = 64 << 10;

/// Input on its way to the process. Writing never blocks.
#[derive(Debug, Default)]
pub(super) struct Stdin {
    fd: Option<OwnedFd>,
    /// The terminal exists only once the process has been started; input waits for it.
    expected: bool,
    queue: Vec<u8>,
    closing: bool,
}

impl Stdin {
    /// Input for a pipe.
    pub(super) fn pipe(fd: OwnedFd) -> Stdin {
        Stdin { fd: Some(fd), ..Stdin::default() }
    }

    /// Input for a terminal that [`Stdin::connect`] will name.
    pub(super) fn expected() -> Stdin {
        Stdin { expected: true, ..Stdin::default() }
    }

    pub(super) fn connect(&mut self, fd: OwnedFd) {
        if self.expected {
            self.expected = false;
            self.fd = Some(fd);
            self.flush();
        }
    }

    pub(super) fn takes_more(&self) -> bool {
        self.queue.len() < ENOUGH
    }

    /// Writes bytes or keeps them for later. Without a reader they are lost, as in a closed pipe.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if (self.fd.is_some() || self.expected) && !self.closing {
            self.queue.extend_from_slice(bytes);
            self.flush();
        }
    }

    /// Closes it once all input has been written.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.flush();
    }

    /// To be called when [`Stdin::blocked`] is writable.
    pub(super) fn flush(&mut self) {
        let Some(fd) = &self.fd else { return };
        let mut written = 0;
        while written < self.queue.len() {
            match rustix::io::write(fd, &self.queue[written..]) {
                Ok(n) => written += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return self.end(),
            }
        }
        self.queue.drain(..written);
        if self.queue.is_empty() {
            self.queue = Vec::new();
            if self.closing {
                self.end();
            }
        }
    }

    /// The descriptor to wait for, while input waits for the process.
    pub(super) fn blocked(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().filter(|_| !self.queue.is_empty()).map(AsFd::as_fd)
    }

    /// Nobody reads any more.
    pub(super) fn end(&mut self) {
        *self = Stdin { closing: true, ..Stdin::default() };
    }
}

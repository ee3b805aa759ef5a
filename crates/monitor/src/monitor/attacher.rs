//! One attached stream. It carries the bytes of a hijacked Docker connection.

use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use crate::detach::Scanner;
use crate::log::Stream;
use crate::spill::SpillQueue;

/// What an attached stream takes and gives.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// Detach keys, on a terminal.
    pub(super) detach: Option<Vec<u8>>,
}

/// Why input from an attached stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InputEnd {
    /// The peer sends no more.
    Eof,
    /// The detach keys were typed.
    Detached,
}

#[derive(Debug)]
pub(super) struct Attacher {
    stream: UnixStream,
    raw: bool,
    stdout: bool,
    stderr: bool,
    /// The peer's input is still wanted.
    input: bool,
    scanner: Option<Scanner>,
    queue: SpillQueue,
    /// No more output will come: it is closed when the queue is empty.
    ending: bool,
    /// The peer is gone or was given up.
    dead: bool,
}

impl Attacher {
    /// Takes over a connection, which must be non-blocking; `first` goes to the peer before any output.
    pub(super) fn new(
        stream: UnixStream,
        wanted: Wanted,
        terminal: bool,
        first: &[u8],
        spill: Rc<PathBuf>,
    ) -> Attacher {
        let mut attacher = Attacher {
            stream,
            raw: terminal,
            stdout: wanted.stdout,
            stderr: wanted.stderr,
            input: wanted.stdin,
            scanner: wanted.detach.map(Scanner::new),
            queue: SpillQueue::new(spill),
            ending: false,
            dead: false,
        };
        attacher.send_parts(&[IoSlice::new(first)]);
        attacher
    }

    /// Sends output, or queues what the peer does not take at once.
    pub(super) fn send(&mut self, stream: Stream, output: &[u8]) {
        let wanted = match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        if !wanted || self.ending || self.dead {
            return;
        }
        if self.raw {
            return self.send_parts(&[IoSlice::new(output)]);
        }
        let number = if stream == Stream::Stdout { 1 } else { 2 };
        let [a, b, c, d] = (output.len() as u32).to_be_bytes();
        self.send_parts(&[IoSlice::new(&[number, 0, 0, 0, a, b, c, d]), IoSlice::new(output)]);
    }

    fn send_parts(&mut self, parts: &[IoSlice<'_>]) {
        let mut sent = if self.queue.is_empty() { self.transmit(parts) } else { 0 };
        for part in parts {
            let skip = sent.min(part.len());
            sent -= skip;
            if skip < part.len() && !self.dead && self.queue.push(&part[skip..]).is_err() {
                self.cut();
            }
        }
    }

    /// Hands as much to the peer as it takes and returns how many bytes that were.
    fn transmit(&mut self, parts: &[IoSlice<'_>]) -> usize {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(&self.stream, parts, &mut SendAncillaryBuffer::default(), flags) {
            Ok(n) => n,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                // What the peer sent before it went is still to be read: `ready` notices the end.
                self.abandon_output();
                0
            }
        }
    }

    fn abandon_output(&mut self) {
        self.stdout = false;
        self.stderr = false;
        self.queue = SpillQueue::new(self.queue.dir());
    }

    /// Gives up a peer that reads too slowly.
    fn cut(&mut self) {
        self.dead = true;
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// To be called when the stream is writable.
    pub(super) fn flush(&mut self) {
        while !self.queue.is_empty() && !self.dead {
            let front = match self.queue.front() {
                Ok(front) => front,
                Err(_) => return self.cut(),
            };
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.stream, front, flags) {
                Ok(n) => self.queue.consume(n),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => return self.abandon_output(),
            }
        }
    }

    /// Reads what the peer has sent and appends to `forward` what is meant for the process. `Some` when that was the last.
    pub(super) fn read(&mut self, buffer: &mut [u8], forward: &mut Vec<u8>) -> Option<InputEnd> {
        if !self.input {
            return None;
        }
        match (&self.stream).read(buffer) {
            Ok(0) => Some(self.end_input(forward)),
            Ok(n) => self.take(&buffer[..n], forward),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
            Err(_) => Some(self.end_input(forward)),
        }
    }

    /// Takes input that was read from the peer.
    pub(super) fn take(&mut self, input: &[u8], forward: &mut Vec<u8>) -> Option<InputEnd> {
        let Some(scanner) = &mut self.scanner else {
            forward.extend_from_slice(input);
            return None;
        };
        if !scanner.scan(input, forward) {
            return None;
        }
        self.input = false;
        self.end();
        Some(InputEnd::Detached)
    }

    fn end_input(&mut self, forward: &mut Vec<u8>) -> InputEnd {
        self.input = false;
        if let Some(scanner) = &mut self.scanner {
            scanner.finish(forward);
        }
        InputEnd::Eof
    }

    /// The peer has closed its end altogether: reads all it has sent, whatever the process takes, and gives it up.
    pub(super) fn hang_up(&mut self, buffer: &mut [u8], forward: &mut Vec<u8>) -> Option<InputEnd> {
        self.dead = true;
        if !self.input {
            return None;
        }
        while let Ok(n @ 1..) = (&self.stream).read(buffer) {
            if let Some(end) = self.take(&buffer[..n], forward) {
                return Some(end);
            }
        }
        Some(self.end_input(forward))
    }

    /// No more output comes: closes the stream as soon as all of it has been taken.
    pub(super) fn end(&mut self) {
        self.ending = true;
    }

    pub(super) fn wants_input(&self) -> bool {
        self.input
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What to wait for; a hang-up is always reported.
    pub(super) fn interest(&self, stdin_takes_more: bool) -> PollFlags {
        let mut flags = PollFlags::empty();
        if self.input && stdin_takes_more {
            flags |= PollFlags::IN;
        }
        if !self.queue.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    pub(super) fn is_done(&self) -> bool {
        self.dead || self.ending && self.queue.is_empty()
    }

    /// Ends the connection. Input that was not read would turn the peer's end of file into a reset, so it is taken out
    /// first.
    pub(super) fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        let mut scrap = [0; 4096];
        while let Ok(1..) = (&self.stream).read(&mut scrap) {}
    }
}

//! Control connections and event subscriptions.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;
use serde::Serialize;

use crate::protocol::{ErrorKind, FrameDecoder, Reply, Request, encode};

/// A peer that has left this much unread is given up.
const MOST_UNREAD: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Connection {
    /// `None` once it carries a stream and has been given up.
    stream: Option<UnixStream>,
    decoder: FrameDecoder,
    out: Vec<u8>,
    /// It carries events.
    pub(super) subscribed: bool,
    /// It is the connection of the launch: its loss before the start is an abort.
    pub(super) is_first: bool,
    pub(super) closed: bool,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, is_first: bool) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        let decoder = FrameDecoder::new();
        Ok(Connection {
            stream: Some(stream),
            decoder,
            out: Vec::new(),
            subscribed: false,
            is_first,
            closed: false,
        })
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn interest(&self) -> PollFlags {
        if self.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// Whether the peer has not been sent everything yet.
    pub(super) fn is_behind(&self) -> bool {
        !self.closed && !self.out.is_empty()
    }

    /// Reads what has arrived.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) {
        let Some(stream) = &mut self.stream else { return };
        match stream.read(buffer) {
            Ok(0) => self.closed = true,
            // A subscriber has nothing more to say.
            Ok(_) if self.subscribed => {}
            Ok(n) => self.decoder.push(&buffer[..n]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.closed = true,
        }
    }

    /// The next request that has arrived completely. What cannot be understood is answered here.
    pub(super) fn request(&mut self) -> Option<Request> {
        while !self.closed {
            match self.decoder.message() {
                Ok(request) => return request,
                Err(e) => {
                    self.send(&Reply::Error { kind: ErrorKind::InvalidRequest, message: e.to_string() });
                    self.closed = self.decoder.is_broken();
                }
            }
        }
        None
    }

    /// Sends a message, or keeps what the peer does not take at once.
    pub(super) fn send<T: Serialize>(&mut self, message: &T) {
        match encode(message) {
            Ok(frame) => self.out.extend_from_slice(&frame),
            Err(_) => self.closed = true,
        }
        self.flush();
        if self.out.len() > MOST_UNREAD {
            self.closed = true;
        }
    }

    pub(super) fn flush(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut written = 0;
        while written < self.out.len() {
            match stream.write(&self.out[written..]) {
                Ok(0) => self.closed = true,
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = true,
            }
            if self.closed {
                return;
            }
        }
        self.out.drain(..written);
    }

    /// Gives up the connection for a stream that follows its replies: the socket, what is still to be sent on it, and what
    /// has been read behind the last request.
    pub(super) fn take_stream(&mut self) -> Option<(UnixStream, Vec<u8>, Vec<u8>)> {
        self.closed = true;
        // A stream that ends is no abort.
        self.is_first = false;
        let decoder = std::mem::take(&mut self.decoder);
        Some((self.stream.take()?, std::mem::take(&mut self.out), decoder.into_rest()))
    }
}

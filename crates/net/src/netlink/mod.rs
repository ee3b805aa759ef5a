//! A small synchronous netlink socket: requests with acknowledgement, batches and dumps.

pub(crate) mod link;

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// A dump comes in parts of up to 32 KiB.
const RECEIVE_BUFFER: usize = 64 << 10;

/// One netlink socket, bound to the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Some received message: its type and what follows the header.
pub(crate) struct Reply<'a> {
    pub(crate) kind: u16,
    pub(crate) payload: &'a [u8],
}

impl Socket {
    /// A socket for links, addresses, routes and neighbours.
    pub(crate) fn route() -> io::Result<Socket> {
        Socket::open(None)
    }

    /// A socket for nftables and connection tracking.
    pub(crate) fn netfilter() -> io::Result<Socket> {
        Socket::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Socket> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        // The kernel answers at once; this only keeps a lost answer from hanging a verb.
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(Duration::from_secs(10)))?;
        Ok(Socket { fd, sequence: 0, buffer: Vec::new() })
    }

    /// The next sequence number.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    /// Sends a request and waits for the kernel's acknowledgement.
    pub(crate) fn call(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.call_all(vec![(message, flags)])
    }

    /// Sends several requests at once; they are carried out in order. Returns the first error.
    pub(crate) fn call_all(&mut self, messages: Vec<(RouteNetlinkMessage, u16)>) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(256 * messages.len());
        let count = messages.len();
        for (message, flags) in messages {
            let sequence = self.next_sequence();
            append(&mut bytes, message, NLM_F_REQUEST | NLM_F_ACK | flags, sequence);
        }
        self.send(&bytes, 512 << 10)?;
        let mut first_error = Ok(());
        let mut pending = count;
        self.receive(|sequence_error| {
            if let Frame::Ack(_, result) = sequence_error {
                pending -= 1;
                if first_error.is_ok() {
                    first_error = result;
                }
            }
            pending == 0
        })?;
        first_error
    }

    /// All messages the kernel answers a dump request with.
    pub(crate) fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let sequence = self.next_sequence();
        let mut bytes = Vec::with_capacity(128);
        append(&mut bytes, message, NLM_F_REQUEST | NLM_F_DUMP, sequence);
        let mut found = Vec::new();
        self.exchange(&bytes, sequence..=sequence, |reply| {
            if let Some(message) = parse(&reply) {
                found.push(message);
            }
        })?;
        Ok(found)
    }

    /// The one message the kernel answers with.
    pub(crate) fn get(&mut self, message: RouteNetlinkMessage) -> io::Result<RouteNetlinkMessage> {
        let sequence = self.next_sequence();
        let mut bytes = Vec::with_capacity(128);
        append(&mut bytes, message, NLM_F_REQUEST | NLM_F_ACK, sequence);
        let mut found = None;
        self.exchange(&bytes, sequence..=sequence, |reply| found = parse(&reply))?;
        found.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Numbers for this many messages that are sent as they are; returns the one before the first.
    pub(crate) fn reserve_sequences(&mut self, count: u32) -> u32 {
        let base = self.sequence;
        self.sequence += count;
        base
    }

    /// Sends ready-made messages with these numbers and reads until the last is acknowledged or its dump is done.
    /// Returns the first error the kernel reports for any of them.
    pub(crate) fn exchange(
        &mut self,
        bytes: &[u8],
        numbers: RangeInclusive<u32>,
        mut on_reply: impl FnMut(Reply<'_>),
    ) -> io::Result<()> {
        self.send(bytes, 4 << 20)?;
        let mut first_error = Ok(());
        self.receive(|frame| match frame {
            Frame::Data(reply) => {
                on_reply(reply);
                false
            }
            Frame::Done(sequence) => sequence == *numbers.end(),
            // What is left of an exchange that was given up is not ours.
            Frame::Ack(sequence, _) if !numbers.contains(&sequence) => false,
            Frame::Ack(sequence, result) => {
                if first_error.is_ok() {
                    first_error = result;
                }
                sequence == *numbers.end()
            }
        })?;
        first_error
    }

    /// Sends, raising the socket's send buffer for what would not fit.
    fn send(&mut self, bytes: &[u8], limit: usize) -> io::Result<()> {
        if bytes.len() > 64 << 10 {
            let size = (bytes.len() * 2).min(limit.max(bytes.len() * 2));
            let _ = sockopt::set_socket_send_buffer_size_force(&self.fd, size);
        }
        rustix::net::sendto(&self.fd, bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }

    /// Feeds frames to `step` until it returns true.
    fn receive(&mut self, mut step: impl FnMut(Frame<'_>) -> bool) -> io::Result<()> {
        self.buffer.resize(RECEIVE_BUFFER, 0);
        loop {
            let (length, _) = match rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let mut rest = &self.buffer[..length];
            while rest.len() >= HEADER {
                let size = read_u32(rest, 0) as usize;
                if size < HEADER || size > rest.len() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                if step(frame(&rest[..size])) {
                    return Ok(());
                }
                rest = &rest[size.next_multiple_of(4).min(rest.len())..];
            }
        }
    }
}

enum Frame<'a> {
    Data(Reply<'a>),
    Ack(u32, io::Result<()>),
    Done(u32),
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
    let sequence = read_u32(bytes, 8);
    let payload = &bytes[HEADER..];
    match kind {
        NLMSG_ERROR => {
            let code = if payload.len() >= 4 { read_u32(payload, 0).cast_signed() } else { 0 };
            let result = if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) };
            Frame::Ack(sequence, result)
        }
        NLMSG_DONE => Frame::Done(sequence),
        kind => Frame::Data(Reply { kind, payload }),
    }
}

fn append(bytes: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16, sequence: u32) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let start = bytes.len();
    bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut bytes[start..]);
}

fn parse(reply: &Reply<'_>) -> Option<RouteNetlinkMessage> {
    // The parser wants the header in front.
    let length = u32::try_from(HEADER + reply.payload.len()).ok()?;
    let mut whole = Vec::with_capacity(HEADER + reply.payload.len());
    whole.extend_from_slice(&length.to_ne_bytes());
    whole.extend_from_slice(&reply.kind.to_ne_bytes());
    whole.extend_from_slice(&[0; 10]);
    whole.extend_from_slice(reply.payload);
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&whole).ok()?.payload {
        NetlinkPayload::InnerMessage(message) => Some(message),
        _ => None,
    }
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

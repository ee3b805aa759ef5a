//! Messages with descriptors over unix sockets (`SCM_RIGHTS`).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::Result;

/// The most descriptors one message carries here.
pub const MAX_FDS: usize = 8;

/// A pair of connected sockets that keep message boundaries (`SOCK_SEQPACKET`), close-on-exec.
pub fn seqpacket_pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends `data` with up to [`MAX_FDS`] descriptors attached to its first byte; returns the bytes taken (all, or fewer on a
/// stream socket). Never raises `SIGPIPE`.
pub fn send_fds(socket: impl AsFd, data: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(crate::Errno::INVAL);
    }
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(data)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(crate::Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Receives into `data`; returns the bytes read (0 at the end of the stream) and the descriptors that came along,
/// close-on-exec.
pub fn recv_fds(socket: impl AsFd, data: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(data)];
        match rustix::net::recvmsg(&socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(crate::Errno::INTR) => {}
            Err(error) => return Err(error),
            Ok(message) => {
                let mut fds = Vec::new();
                for item in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = item {
                        fds.extend(rights);
                    }
                }
                return Ok((message.bytes, fds));
            }
        }
    }
}

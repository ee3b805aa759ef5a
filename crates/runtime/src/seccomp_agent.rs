//! Handing a filter's notification descriptor to the agent that will answer for the kernel.

use std::os::fd::{AsFd, BorrowedFd};

use oci_spec::runtime::LinuxSeccomp;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::PidfdGetfdFlags;
use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::hooks::HookState;

/// The document that goes with the descriptor (runtime specification, "container process state").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    metadata: &'a str,
    state: &'a HookState,
}

/// Takes descriptor `number` out of the process and sends it to the specification's `listenerPath`.
pub(crate) fn hand_over(
    pidfd: BorrowedFd<'_>,
    number: &[u8],
    filter: Option<&LinuxSeccomp>,
    state: &HookState,
) -> Result<()> {
    let number =
        number.try_into().map(i32::from_ne_bytes).map_err(|_| Error::setup("bad seccomp message"))?;
    let Some(path) = filter.and_then(|filter| filter.listener_path().as_ref()) else {
        return Err(Error::setup("seccomp listenerPath is not set"));
    };
    let listener = rustix::process::pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty())
        .setup(|| "pidfd_getfd of the seccomp listener".into())?;
    let document = ContainerProcessState {
        oci_version: crate::OCI_VERSION,
        fds: ["seccompFd"],
        pid: state.pid,
        metadata: filter.and_then(|filter| filter.listener_metadata().as_deref()).unwrap_or_default(),
        state,
    };
    let document = serde_json::to_vec(&document).map_err(|error| Error::setup(error.to_string()))?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .setup(|| "socket".into())?;
    let address = SocketAddrUnix::new(path.as_path()).setup(|| format!("socket path {}", path.display()))?;
    rustix::net::connect(&socket, &address).setup(|| format!("connect {}", path.display()))?;
    wharf_sys::socket::send_fds(&socket, &document, &[listener.as_fd()])
        .map(drop)
        .setup(|| format!("send to {}", path.display()))
}

//! The launcher process itself.

use std::ffi::{CStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitId, WaitIdOptions};
use wharf_sys::process::{Forked, exit, fork};
use wharf_sys::signal::{self, SignalSet};
use wharf_sys::{fd, socket};

use crate::monitor;
use crate::protocol::{ErrorKind, Reply, encode};
use crate::title::Arguments;

/// Signal number of `SIGCHLD`.
const CHILD: i32 = rustix::process::Signal::CHILD.as_raw();

/// Is the launcher: serves the socket on descriptor 0 until the daemon is gone. To be called first thing in `main` when
/// `argv[0]` is [`ARGV0`](super::ARGV0), before any thread exists.
pub fn launcher_main() -> ! {
    let arguments = Arguments::find().ok();
    set_name(c"wharf-launcher", "wharf-launcher", arguments);
    exit(match serve() {
        Ok(None) => 0,
        Ok(Some(launch)) => {
            // Whatever goes wrong is told to the client.
            let titled = |id: &str| set_name(c"wharf-mon", &format!("wharf-monitor {id}"), arguments);
            i32::from(monitor::run(launch.dir, launch.first, launch.listener, titled).is_err())
        }
        Err(_) => 1,
    })
}

/// A request to launch a monitor.
struct Launch {
    dir: PathBuf,
    first: UnixStream,
    listener: UnixListener,
}

/// Returns `None` when the daemon is gone, and a request in each process forked to carry it out, which owns nothing else.
fn serve() -> io::Result<Option<Launch>> {
    let socket = prepare_descriptors()?;
    // Monitors inherit the mask: no signal but SIGKILL ends them. The runtime gives containers a clean one.
    signal::set_blocked(SignalSet::all())?;
    let children = signal::signal_fd(SignalSet::of(&[CHILD]))?;
    loop {
        let mut fds = [PollFd::new(&socket, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let [requested, children_ended] = fds.map(|fd| !fd.revents().is_empty());
        if children_ended {
            reap(&children)?;
        }
        if !requested {
            continue;
        }
        let mut path = [0; 4096];
        let (length, fds) = socket::recv_fds(&socket, &mut path)?;
        if length == 0 {
            return Ok(None);
        }
        let Ok([first, listener]) = <[OwnedFd; 2]>::try_from(fds) else { continue };
        let dir = PathBuf::from(OsString::from_vec(path[..length].to_vec()));
        let launch = Launch { dir, first: first.into(), listener: listener.into() };
        if fork_monitor(&launch.first) {
            return Ok(Some(launch));
        }
    }
}

/// Takes the socket away from standard input, where a container could be given it, and closes what the daemon was started
/// with.
fn prepare_descriptors() -> io::Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    for standard in 0..3 {
        fd::place(null.as_fd(), standard)?;
    }
    drop(null);
    fd::close_from_except(3, &[socket.as_raw_fd()])?;
    Ok(socket)
}

fn reap(children: &OwnedFd) -> io::Result<()> {
    while signal::read_signal(children)?.is_some() {}
    while let Ok(Some(_)) =
        rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    {}
    Ok(())
}

/// Forks and returns `true` in the new process.
///
/// A monitor is a plain child: the launcher reaps it, and once the launcher is gone the system's init does.
fn fork_monitor(first: &UnixStream) -> bool {
    match fork() {
        Ok(Forked::Parent { .. }) => false,
        Ok(Forked::Child) => {
            // Leaves the daemon's session and process group: a terminal's signals and hang-up are not for monitors.
            let _ = rustix::process::setsid();
            true
        }
        Err(e) => {
            let reply = Reply::Error { kind: ErrorKind::Internal, message: format!("fork a monitor: {e}") };
            // A client that is gone needs no answer.
            let _ = encode(&reply).map(|frame| io::Write::write_all(&mut &*first, &frame));
            false
        }
    }
}

/// Sets the name and the command line that `ps` shows. Nothing depends on them.
fn set_name(name: &CStr, title: &str, arguments: Option<Arguments>) {
    let _ = wharf_sys::process::set_name(name);
    if let Some(arguments) = arguments {
        let _ = arguments.replace(title);
    }
}

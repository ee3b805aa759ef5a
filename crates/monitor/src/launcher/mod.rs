//! The launcher: a small single-threaded process that every monitor is forked from.
//!
//! The daemon is multi-threaded and large, so it must not fork. It starts the launcher once, from a read-only view of
//! its own binary ([`self_exe`]), and sends it one datagram per container: the monitor's directory, with the first
//! connection and the listening socket as descriptors. Both exist before the datagram is sent, so a client may connect
//! as soon as [`Launcher::launch`] has returned.

mod process;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags};
use wharf_sys::{self_exe, socket};

use crate::client::{Client, socket_path};
use crate::config::SOCKET_FILE;
use crate::error::{Error, Result};

pub use self::process::launcher_main;

/// The `argv[0]` by which the binary knows that it is to be the launcher.
pub const ARGV0: &str = "wharf-launcher";

/// The daemon's handle to its launcher, which ends when this is dropped or the daemon dies; monitors go on.
#[derive(Debug)]
pub struct Launcher {
    binary: OwnedFd,
    process: Mutex<Process>,
}

#[derive(Debug)]
struct Process {
    socket: Option<OwnedFd>,
    child: Child,
}

impl Launcher {
    /// Starts the launcher. The sooner in the life of the daemon the better: the launcher inherits its limits, working
    /// directory and cgroup.
    ///
    /// # Errors
    /// When the binary cannot be opened or started.
    pub fn spawn() -> io::Result<Launcher> {
        let binary = self_exe::protected()?;
        let process = Mutex::new(Process::spawn(binary.as_fd())?);
        Ok(Launcher { binary, process })
    }

    /// Starts a monitor for the container described by `monitor.json` and the bundle in `dir`, which must be private to
    /// root. Returns at once; [`Client::created`] waits for the container.
    ///
    /// # Errors
    /// When the socket cannot be made in `dir`, or the launcher is gone and cannot be started again.
    pub fn launch(&self, dir: &Path) -> Result<Client> {
        let listener = listen(dir)?;
        let (ours, theirs) = UnixStream::pair().map_err(Error::system("socketpair"))?;
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let fds = [theirs.as_fd(), listener.as_fd()];
        if process.send(dir, &fds).is_err() {
            *process = Process::spawn(self.binary.as_fd()).map_err(Error::system("start the launcher"))?;
            process.send(dir, &fds).map_err(Error::system("send to the launcher"))?;
        }
        Ok(Client::launched(dir, ours))
    }

    /// Pid of the launcher.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).child.id()
    }
}

impl Process {
    fn spawn(binary: BorrowedFd<'_>) -> io::Result<Process> {
        let (ours, theirs) = socket::seqpacket_pair()?;
        let child = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()))
            .arg0(ARGV0)
            // Room for the title a monitor gives itself, see `title`.
            .arg(" ".repeat(crate::title::ROOM))
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Process { socket: Some(ours), child })
    }

    fn send(&self, dir: &Path, fds: &[BorrowedFd<'_>; 2]) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        socket::send_fds(socket, dir.as_os_str().as_bytes(), fds)?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The launcher ends when it reads the end of the stream. Nothing is lost if it cannot be waited for.
        drop(self.socket.take());
        let _ = self.child.wait();
    }
}

/// Makes the listening socket of a monitor. A socket of an earlier run in the same directory is replaced; whoever is
/// connected to it stays connected.
fn listen(dir: &Path) -> Result<UnixListener> {
    let failed = |action| Error::path(action, dir.join(OsStr::new(SOCKET_FILE)));
    let folder = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Error::path("open", dir)(e.into()))?;
    match rustix::fs::unlinkat(&folder, SOCKET_FILE, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(e) => return Err(failed("remove")(e.into())),
    }
    let listener = UnixListener::bind(socket_path(folder.as_fd())).map_err(failed("bind"))?;
    rustix::fs::chmodat(&folder, SOCKET_FILE, Mode::RUSR | Mode::WUSR, AtFlags::empty())
        .map_err(|e| failed("chmod")(e.into()))?;
    Ok(listener)
}

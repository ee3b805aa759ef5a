//! Starts the daemon when the default socket does not answer, so that the first command on a fresh machine works.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        net::UnixStream,
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;

use crate::{Error, Result};

/// The hidden first argument that makes a new session before it becomes the daemon.
pub(crate) const DETACHED: &str = "daemon-detached";

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes sure that something answers on `socket`, as far as this user may: without root nothing is started and
/// the caller's own connection attempt says what is wrong.
///
/// # Errors
/// The daemon could not be started or did not answer in time.
pub(crate) fn ensure(socket: &Path) -> Result<()> {
    if answers(socket) || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Some(dir) = socket.parent() else { return Ok(()) };
    fs::DirBuilder::new().recursive(true).mode(0o711).create(dir)?;
    // Of two commands at once the second one waits here and then finds the daemon of the first.
    let _lock = lock(&dir.join("start.lock"))?;
    if answers(socket) {
        return Ok(());
    }
    let log = dir.join("daemon.log");
    let mut child = spawn(&log)?;
    wait_until_answers(socket, &mut child, &log)
}

/// True if a daemon accepts connections, or if it is not for us to start one.
fn answers(socket: &Path) -> bool {
    match UnixStream::connect(socket) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused),
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn spawn(log: &Path) -> io::Result<Child> {
    let out = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    Command::new("/proc/self/exe")
        .arg0("wharf")
        .arg(DETACHED)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
}

fn wait_until_answers(socket: &Path, child: &mut Child, log: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        if answers(socket) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            let text = fs::read_to_string(log).unwrap_or_default();
            let last = text.lines().last().unwrap_or_default();
            return Err(Error::message(format!("The engine did not start ({status}): {last}")));
        }
        if start.elapsed() > PATIENCE {
            let text =
                format!("The engine was started but does not answer yet; its log is {}", log.display());
            return Err(Error::message(text));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Leaves the session of the caller's terminal and becomes the daemon.
///
/// # Errors
/// Only returns if the program could not be executed.
pub(crate) fn become_daemon() -> Error {
    if let Err(error) = rustix::process::setsid() {
        return Error::Io(error.into());
    }
    Error::Io(Command::new("/proc/self/exe").arg0("wharf").arg("daemon").exec())
}

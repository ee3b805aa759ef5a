//! Staying in front of a process: signals are passed on, and a terminal is relayed to ours.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios};
use wharf_sys::signal::{self, SignalSet};

use super::create::wait;
use crate::container::Process;
use crate::error::{Context as _, Result};

/// Signals that are passed on to the process.
const FORWARDED: &[i32] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTERM,
    libc::SIGCONT,
    libc::SIGALRM,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Our own terminal in raw mode, put back on drop.
struct RawTerminal(Option<Termios>);

impl RawTerminal {
    fn enter() -> Self {
        let Ok(saved) = rustix::termios::tcgetattr(rustix::stdio::stdin()) else { return Self(None) };
        let mut raw = saved.clone();
        raw.make_raw();
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
        Self(Some(saved))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.0 {
            let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, saved);
        }
    }
}

/// Waits for the process and returns its exit code.
pub(super) fn supervise(process: &Process) -> Result<i32> {
    let mut signals = FORWARDED.to_vec();
    signals.push(libc::SIGWINCH);
    let set = SignalSet::of(&signals);
    signal::set_blocked(set).setup(|| "block signals".into())?;
    let signals = signal::signal_fd(set).setup(|| "signalfd".into())?;
    let master = process.terminal.as_ref().map(AsFd::as_fd);
    let _raw = master.map(|master| {
        resize(master);
        RawTerminal::enter()
    });
    relay(process, signals.as_fd(), master)?;
    if let Some(master) = master {
        drain(master);
    }
    wait(process)
}

fn relay(process: &Process, signals: BorrowedFd<'_>, master: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut input = master.is_some();
    loop {
        let mut fds = vec![
            PollFd::new(&process.pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
        ];
        if let Some(master) = master {
            fds.push(PollFd::from_borrowed_fd(master, PollFlags::IN));
        }
        if input {
            fds.push(PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN));
        }
        rustix::io::retry_on_intr(|| poll(&mut fds, None)).setup(|| "poll".into())?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if let (Some(master), Some(true)) = (master, ready.get(2)) {
            copy(master, rustix::stdio::stdout());
        }
        if let (Some(master), Some(true)) = (master, ready.get(3)) {
            input = copy(rustix::stdio::stdin(), master);
        }
        if ready[1] {
            forward(process, signals, master);
        }
        if ready[0] {
            return Ok(());
        }
    }
}

/// Copies what is there; `false` at the end of the input.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 32 * 1024];
    let Ok(length) = rustix::io::read(from, &mut buffer) else { return false };
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(to, rest)) {
            Ok(written) => rest = &rest[written..],
            Err(_) => return false,
        }
    }
    length > 0
}

/// What the process wrote before it ended.
fn drain(master: BorrowedFd<'_>) {
    let mut fds = [PollFd::from_borrowed_fd(master, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    while poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0) && copy(master, rustix::stdio::stdout()) {}
}

fn forward(process: &Process, signals: BorrowedFd<'_>, master: Option<BorrowedFd<'_>>) {
    while let Ok(Some(number)) = signal::read_signal(signals) {
        if number == libc::SIGWINCH {
            if let Some(master) = master {
                resize(master);
            }
        } else {
            // The process may be gone already.
            let _ = signal::send_pidfd(process.pidfd.as_fd(), number);
        }
    }
}

fn resize(master: BorrowedFd<'_>) {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
        let _ = rustix::termios::tcsetwinsize(master, size);
    }
}

//! The reaper that `--init` runs as first process of a container: starts the program, passes signals on to it, and
//! collects orphans, which become children of the first process.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitCode, ExitStatus},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, Signal, WaitOptions, getpid, kill_process, setpgid, wait},
    termios::tcsetpgrp,
};
use wharf_sys::{
    process::{Forked, fork},
    signal::{SignalSet, read_signal, reset, set_blocked, signal_fd},
};

/// Exit codes of a shell for a program that is missing or cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;
const SIGCHLD: i32 = 17;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// Runs `args` (`-- PROGRAM ARG…`) until it ends; returns its exit code, or 128 and the signal that ended it.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let args = args.strip_prefix(&[OsString::from("--")]).unwrap_or(args);
    let Some((program, rest)) = args.split_first() else {
        let _ = writeln!(io::stderr(), "docker-init: no program given");
        return ExitCode::FAILURE;
    };
    match supervise(Command::new(program).args(rest)) {
        Ok(status) => {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "docker-init: {error}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(command: &mut Command) -> io::Result<ExitStatus> {
    // Blocked before the child exists, so that no signal is lost.
    set_blocked(SignalSet::all())?;
    let child = match fork()? {
        Forked::Child => become_program(command),
        Forked::Parent { pid, .. } => Pid::from_raw(pid).ok_or_else(|| io::Error::other("no child"))?,
    };
    let signals = signal_fd(SignalSet::all())?;
    loop {
        poll(&mut [PollFd::new(&signals, PollFlags::IN)], None)?;
        while let Some(signal) = read_signal(&signals)? {
            // The terminal's job control signals are meant for whoever reads it, never for the reaper's child.
            if signal != SIGCHLD
                && signal != SIGTTIN
                && signal != SIGTTOU
                && let Some(signal) = Signal::from_named_raw(signal)
            {
                let _ = kill_process(child, signal);
            }
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
        }
    }
}

/// In the child: takes the terminal's foreground in a process group of its own, so that the terminal's signals reach
/// the program once and not twice, and becomes the program.
fn become_program(command: &mut Command) -> ! {
    let _ = setpgid(None, None);
    let _ = tcsetpgrp(io::stdin(), getpid());
    let error = match reset() {
        Ok(()) => command.exec(),
        Err(error) => error.into(),
    };
    let _ = writeln!(io::stderr(), "docker-init: {}: {error}", command.get_program().display());
    let missing = error.kind() == io::ErrorKind::NotFound;
    wharf_sys::process::exit(if missing { NOT_FOUND } else { NOT_EXECUTABLE })
}

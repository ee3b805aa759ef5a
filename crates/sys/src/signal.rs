//! Signals: masks, dispositions, `signalfd(2)`.

use std::os::fd::{FromRawFd, OwnedFd};

use crate::{Result, check};

/// The signal numbers 1 to 64 as a kernel signal set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalSet(u64);

impl SignalSet {
    /// The set of the given signal numbers.
    pub fn of(signals: &[i32]) -> Self {
        Self(signals.iter().fold(0, |set, signal| set | 1 << (signal - 1)))
    }

    /// Every signal.
    pub fn all() -> Self {
        Self(u64::MAX)
    }
}

/// Replaces the calling thread's mask of blocked signals and returns the old one.
pub fn set_blocked(set: SignalSet) -> Result<SignalSet> {
    let mut old = 0u64;
    // SAFETY: the kernel reads and writes 8-byte sets, as the last argument says.
    check(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const set.0, &raw mut old, 8)
    })?;
    Ok(SignalSet(old))
}

/// Gives every signal its default action again and unblocks all: the state a new program expects.
pub fn reset() -> Result<()> {
    #[repr(C)]
    struct Action {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    let mut current = Action { handler: 0, flags: 0, restorer: 0, mask: 0 };
    let default = Action { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    let none = std::ptr::null::<Action>();
    for signal in (1..=64).filter(|n| *n != libc::SIGKILL && *n != libc::SIGSTOP) {
        // Handlers fall to the default at exec by themselves; only ignored signals stay ignored.
        // SAFETY: only reads the disposition into a struct of the kernel's layout.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, none, &raw mut current, 8) };
        if current.handler == libc::SIG_IGN {
            // SAFETY: setting the default action installs no code.
            unsafe {
                libc::syscall(
                    libc::SYS_rt_sigaction,
                    signal,
                    &raw const default,
                    std::ptr::null::<Action>(),
                    8,
                )
            };
        }
    }
    set_blocked(SignalSet::default()).map(drop)
}

/// A close-on-exec, non-blocking `signalfd(2)` for `set`, which should be blocked.
pub fn signal_fd(set: SignalSet) -> Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel reads an 8-byte set.
    let fd = check(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set.0, 8, flags) })?;
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Reads one signal number from a [`signal_fd`]; `None` when there is none now.
pub fn read_signal(fd: impl std::os::fd::AsFd) -> Result<Option<i32>> {
    let mut record = [0u8; 128];
    match rustix::io::read(fd, &mut record) {
        Ok(128) => Ok(Some(i32::from_ne_bytes([record[0], record[1], record[2], record[3]]))),
        Ok(_) | Err(crate::Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `kill(2)` by process id, with any signal number (0 only checks).
pub fn send(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// `pidfd_send_signal(2)` with any signal number (0 only checks): reaches that process or none.
pub fn send_pidfd(pidfd: std::os::fd::BorrowedFd<'_>, signal: i32) -> Result<()> {
    use std::os::fd::AsRawFd;
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a borrowed descriptor and no siginfo.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) })
        .map(drop)
}

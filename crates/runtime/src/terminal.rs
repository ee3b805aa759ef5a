//! The container's terminal: a pseudo terminal of its own devpts, whose master goes to the parent.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::error::{Context, Result};
use crate::rootfs::{attach, clone_tree};

/// Both ends of a pseudo terminal.
pub(crate) struct Terminal {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
}

/// Opens a terminal of the devpts at `/dev/pts` of the current root. `size` is rows and columns; `uid` will own it.
pub(crate) fn open(size: Option<(u16, u16)>, uid: u32) -> Result<Terminal> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(CWD, "/dev/pts/ptmx", flags, Mode::empty())
        .init(|| "open /dev/pts/ptmx".into())?;
    rustix::pty::unlockpt(&master).init(|| "unlock console".into())?;
    let slave_flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, slave_flags).init(|| "open console slave".into())?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&slave, size).init(|| "set console size".into())?;
    }
    if uid != 0 {
        rustix::fs::fchown(&slave, Some(Uid::from_raw(uid)), None::<Gid>).init(|| "chown console".into())?;
    }
    Ok(Terminal { master, slave })
}

impl Terminal {
    /// Shows the terminal as `/dev/console` of the root at `root`.
    pub(crate) fn bind_console(&self, root: BorrowedFd<'_>) -> Result<()> {
        let name = rustix::pty::ptsname(&self.master, Vec::new()).init(|| "console name".into())?;
        let name = name.to_string_lossy();
        let slave = clone_tree(CWD, Path::new(name.as_ref()), false).init(|| format!("open {name}"))?;
        let target = crate::paths::make_file(root, Path::new("/dev/console"), 0o600)
            .init(|| "error creating /dev/console".into())?;
        attach(slave.as_fd(), target.as_fd()).init(|| "error mounting console".into())
    }

    /// Makes the terminal the controlling one of this process, which leads its session.
    pub(crate) fn control(&self) -> Result<()> {
        rustix::process::ioctl_tiocsctty(&self.slave).init(|| "ioctl setctty".into())
    }
}

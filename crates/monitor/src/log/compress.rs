//! Compression of rotated files. It takes longer than the container can be kept waiting, so another process does it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use flate2::{Compression as Level, GzBuilder};
use rustix::process::{WaitId, WaitIdOptions};
use wharf_sys::process::{Forked, exit, fork};

/// A running compression.
#[derive(Debug)]
pub(super) struct Compression {
    pidfd: OwnedFd,
}

impl Compression {
    /// Starts to replace `from` by its compressed form `to`. `None` when no process can be made: `from` then stays.
    pub(super) fn start(from: &Path, to: &Path) -> Option<Compression> {
        match fork() {
            Ok(Forked::Parent { pidfd, .. }) => Some(Compression { pidfd }),
            Ok(Forked::Child) => {
                // The container's pipes and attached streams must not stay open on account of this process.
                let _ = wharf_sys::fd::close_from(3);
                let _ = rustix::process::setpriority_process(None, 10);
                exit(i32::from(compress(from, to).is_err()))
            }
            Err(_) => None,
        }
    }

    /// Waits for the end.
    pub(super) fn wait(self) {
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }

    /// Becomes readable at the end.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut mode = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut mode, 0o640);
    let target = mode.write(true).create(true).truncate(true).open(to)?;
    // Docker keeps the time of the newest entry in the header, so that a reader can skip the file.
    let extra = format!("{{\"lastTime\":\"{}\"}}", jiff::Timestamp::now());
    let mut writer = GzBuilder::new().extra(extra).write(target, Level::default());
    let result = io::copy(&mut source, &mut writer).and_then(|_| writer.finish());
    match result {
        Ok(_) => fs::remove_file(from),
        Err(e) => {
            let _ = fs::remove_file(to);
            Err(e)
        }
    }
}

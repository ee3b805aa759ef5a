//! Noticing that a group ran out of memory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};

use super::{Cgroup, write};
use crate::error::{Context, Error, Result};

/// A descriptor that becomes readable when the group hits its memory limit and something may have been killed.
/// [`Cgroup::oom_kills`] then tells how many processes were.
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl OomWatch {
    /// Takes what has arrived, so that the descriptor is readable again only at the next event.
    pub fn drain(&self) {
        let mut buffer = [0; 4096];
        // Both kinds of descriptor do not block; an empty one is what is wanted.
        while rustix::io::read(&self.fd, &mut buffer).is_ok_and(|length| length == buffer.len()) {}
    }
}

impl Cgroup {
    /// Watches for lack of memory: an eventfd on v1, inotify on `memory.events` on v2.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        if let Some(dir) = self.dir("memory") {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let control = rustix::fs::open(dir.join("memory.oom_control"), flags, Mode::empty())
                .setup(|| "open memory.oom_control".into())?;
            let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .setup(|| "eventfd".into())?;
            let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
            write(dir, "cgroup.event_control", &line)?;
            return Ok(OomWatch { fd: event });
        }
        let Some(dir) = &self.unified else { return Err(Error::setup("memory cgroup not supported")) };
        let fd = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .setup(|| "inotify_init".into())?;
        rustix::fs::inotify::add_watch(&fd, dir.join("memory.events"), WatchFlags::MODIFY)
            .setup(|| "watch memory.events".into())?;
        Ok(OomWatch { fd })
    }
}

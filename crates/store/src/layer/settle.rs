//! What a step left becomes what its layer shall be, where it lies: the same on every host and at every time.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, statat, utimensat};
use rustix::io::Errno;

use super::attributes::tolerate;
use crate::merged::OPAQUE;
use crate::{Error, Result, walk};

/// What is done to the folder of a step before it becomes a layer.
pub(super) struct Settle {
    /// Later times become this one, in seconds since the epoch.
    pub(super) newest: Option<i64>,
    /// Nothing lies below, so that no folder hides anything.
    pub(super) alone: bool,
}

impl Settle {
    /// Does it to everything below `upper`, which must not be mounted.
    pub(super) fn apply(&self, upper: &Path) -> Result<()> {
        if self.newest.is_none() && !self.alone {
            return Ok(());
        }
        let failed = |errno| Error::io("settle", upper, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(upper, flags, Mode::empty()).map_err(failed)?;
        self.below(&folder).map_err(failed)
    }

    fn below(&self, folder: &OwnedFd) -> Result<(), Errno> {
        for name in walk::names(folder)? {
            let stat = statat(folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let child = walk::open_folder(folder, &name)?;
                if self.alone {
                    // The kernel marks every new folder, to spare itself looking below.
                    match rustix::fs::fremovexattr(&child, OPAQUE) {
                        Err(Errno::NODATA) => {}
                        other => tolerate(other)?,
                    }
                }
                self.below(&child)?;
            }
            if let Some(times) = self.newest.and_then(|newest| clamped(&stat, newest)) {
                utimensat(folder, name.as_slice(), &times, AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
        Ok(())
    }
}

/// The times of a file that is newer than it may be.
fn clamped(stat: &Stat, newest: i64) -> Option<Timestamps> {
    let time = Timespec { tv_sec: newest, tv_nsec: 0 };
    ((stat.st_mtime, stat.st_mtime_nsec) > (newest, 0))
        .then_some(Timestamps { last_access: time, last_modification: time })
}

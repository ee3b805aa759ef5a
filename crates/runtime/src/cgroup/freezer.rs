//! Freezing all processes of a group, and letting them go on.

use std::time::{Duration, Instant};

use super::{Cgroup, read, write};
use crate::error::{Error, Result};

/// How long a freeze may take; a process in uninterruptible sleep delays it.
const LIMIT: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Stops every process of the group; returns when all have stopped.
    pub fn freeze(&self) -> Result<()> {
        if let Some(dir) = self.dir("freezer") {
            write(dir, "freezer.state", "FROZEN")?;
            let wait = || match read(dir, "freezer.state").as_deref() {
                Ok("FREEZING") => {
                    // A process forked while freezing may have been missed: asking again catches it.
                    let _ = write(dir, "freezer.state", "FROZEN");
                    false
                }
                _ => true,
            };
            return wait_until(wait).or_else(|error| self.thaw().and(Err(error)));
        }
        let Some(dir) = &self.unified else { return Err(Error::setup("freezer not supported")) };
        write(dir, "cgroup.freeze", "1")?;
        let frozen =
            || read(dir, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "frozen 1"));
        wait_until(frozen).or_else(|error| self.thaw().and(Err(error)))
    }

    /// Lets the processes of the group go on.
    pub fn thaw(&self) -> Result<()> {
        if let Some(dir) = self.dir("freezer") {
            return write(dir, "freezer.state", "THAWED");
        }
        match &self.unified {
            Some(dir) => write(dir, "cgroup.freeze", "0"),
            None => Err(Error::setup("freezer not supported")),
        }
    }

    /// Whether the group is frozen; `false` when it cannot be told.
    pub fn is_frozen(&self) -> bool {
        if let Some(dir) = self.dir("freezer") {
            return read(dir, "freezer.state").is_ok_and(|state| state != "THAWED");
        }
        self.unified.as_ref().is_some_and(|dir| read(dir, "cgroup.freeze").is_ok_and(|value| value == "1"))
    }
}

fn wait_until(mut done: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > LIMIT {
            return Err(Error::setup("unable to freeze"));
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

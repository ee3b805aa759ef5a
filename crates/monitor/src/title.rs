//! The name by which `ps` shows a launcher or monitor.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of argument space the launcher is started with beyond its name. A monitor's title replaces all of it.
pub(crate) const ROOM: usize = 96;

/// The arguments of this process in its own memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments {
    start: u64,
    end: u64,
}

impl Arguments {
    /// Finds the arguments of the calling process.
    pub(crate) fn find() -> io::Result<Arguments> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        // Fields 48 and 49 of proc_pid_stat(5); the second one may contain spaces but ends with the last parenthesis.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let mut numbers = fields.split(' ').skip(45).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(start)), Some(Ok(end))) if start < end => Ok(Arguments { start, end }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Overwrites them. Nothing else reads them any more: `std::env::args` is not used after this.
    pub(crate) fn replace(self, title: &str) -> io::Result<()> {
        let mut bytes = vec![0; usize::try_from(self.end - self.start).unwrap_or_default()];
        let length = title.len().min(bytes.len().saturating_sub(1));
        bytes[..length].copy_from_slice(&title.as_bytes()[..length]);
        OpenOptions::new().write(true).open("/proc/self/mem")?.write_all_at(&bytes, self.start)
    }
}

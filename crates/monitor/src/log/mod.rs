//! The container's log.
//!
//! - [`json`]: one entry as the json-file driver writes it
//! - [`lines`]: output cut into entries
//! - [`file`]: the file, its rotation and what happens when it cannot be written
//!
//! Everything read at once is written at once: no system call, no clock reading and no allocation per line.

mod compress;
mod file;
mod json;
mod lines;

use std::os::fd::BorrowedFd;

use self::file::LogFile;
use self::lines::Lines;
use crate::config::{LogConfig, LogDriver};
use crate::protocol::LogStatus;

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The log of one container.
#[derive(Debug)]
pub(crate) struct Log {
    /// `None` for the driver `none`.
    file: Option<LogFile>,
    stdout: Lines,
    stderr: Lines,
}

impl Log {
    /// Opens the log. A file that cannot be opened makes entries be dropped and counted, nothing else.
    pub(crate) fn open(config: &LogConfig) -> Log {
        let file = match config.driver {
            LogDriver::JsonFile => Some(LogFile::open(config)),
            LogDriver::None => None,
        };
        let attrs = json::attrs(&config.attrs);
        Log { file, stdout: Lines::new("stdout", &attrs), stderr: Lines::new("stderr", &attrs) }
    }

    /// Takes output as it was read from the container, all with one time. It is in the file after [`Log::flush`].
    pub(crate) fn write(&mut self, stream: Stream, output: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let lines = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        lines.write(output, jiff::Timestamp::now(), file);
    }

    /// Writes what was taken.
    pub(crate) fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            file.flush();
        }
    }

    /// Writes the unfinished lines once the container's output has ended.
    pub(crate) fn finish(&mut self) {
        let Some(file) = &mut self.file else { return };
        let now = jiff::Timestamp::now();
        self.stdout.finish(now, file);
        self.stderr.finish(now, file);
        file.flush();
    }

    /// Opens the file anew.
    pub(crate) fn reopen(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), LogFile::reopen)
    }

    /// Becomes readable when a compression has ended; [`Log::compressed`] is then to be called.
    pub(crate) fn compression(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().and_then(LogFile::compression)
    }

    /// Takes note of the end of a compression.
    pub(crate) fn compressed(&mut self) {
        if let Some(file) = &mut self.file {
            file.compressed();
        }
    }

    pub(crate) fn status(&self) -> LogStatus {
        self.file.as_ref().map(LogFile::status).unwrap_or_default()
    }
}

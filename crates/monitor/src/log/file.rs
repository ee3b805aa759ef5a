//! The log file: rotation by size, and entries that are dropped rather than waited for when it cannot be written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use super::compress::Compression;
use super::lines::Sink;
use crate::config::LogConfig;
use crate::protocol::LogStatus;

/// Entries are written when this many bytes have gathered, at the latest.
const BATCH: usize = 128 << 10;
/// Bytes of the file system that a file which grows fast gets ahead of its content: to find room for each page by itself
/// costs more than all else that a write does.
const AHEAD: u64 = 8 << 20;

/// The live file and the entries on their way to it.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    capacity: u64,
    files: u32,
    compress: bool,
    /// `None` while it cannot be opened.
    file: Option<File>,
    size: u64,
    /// Up to where the file has room; `None` after the file system refused.
    room: Option<u64>,
    batch: Vec<u8>,
    batch_lines: u64,
    compression: Option<Compression>,
    status: LogStatus,
}

impl LogFile {
    /// Opens the file for appending, or creates it.
    pub(super) fn open(config: &LogConfig) -> LogFile {
        let mut log = LogFile {
            path: config.path.clone(),
            capacity: config.capacity().unwrap_or(u64::MAX),
            files: config.files(),
            compress: config.compress && config.files() > 1,
            file: None,
            size: 0,
            room: Some(0),
            batch: Vec::new(),
            batch_lines: 0,
            compression: None,
            status: LogStatus::default(),
        };
        // Entries are counted as dropped until it can be opened.
        let _ = log.reopen();
        log
    }

    /// Opens the file at the path anew.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.close();
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.room = Some(self.size);
        self.file = Some(file);
        Ok(())
    }

    /// Closes the file and gives back the room ahead of its content.
    fn close(&mut self) {
        if let Some(file) = self.file.take()
            && self.room.is_none_or(|room| room > self.size)
            && let Ok(metadata) = file.metadata()
        {
            // To its own length: what somebody else has cut off stays cut off.
            let _ = file.set_len(metadata.len());
        }
    }

    /// Makes room for the batch and more ahead of it.
    fn make_room(&mut self) {
        let (Some(file), Some(room)) = (&self.file, self.room) else { return };
        if room < self.size + self.batch.len() as u64 {
            let allocated = fallocate(file, FallocateFlags::KEEP_SIZE, self.size, AHEAD);
            self.room = allocated.is_ok().then_some(self.size + AHEAD);
        }
    }

    /// Writes what has gathered.
    pub(super) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.file.is_none() {
            let _ = self.reopen();
        }
        let written = self.file.as_mut().map_or(0, |file| write_entries(file, &self.batch, self.size));
        self.size += written as u64;
        let lost = &self.batch[written..];
        let lost_lines =
            if written == 0 { self.batch_lines } else { memchr::memchr_iter(b'\n', lost).count() as u64 };
        self.status.lines += self.batch_lines - lost_lines;
        self.status.dropped_lines += lost_lines;
        self.status.dropped_bytes += lost.len() as u64;
        self.batch.clear();
        self.batch_lines = 0;
    }

    pub(super) fn status(&self) -> LogStatus {
        self.status
    }

    pub(super) fn compression(&self) -> Option<BorrowedFd<'_>> {
        self.compression.as_ref().map(Compression::as_fd)
    }

    pub(super) fn compressed(&mut self) {
        if let Some(compression) = self.compression.take() {
            compression.wait();
        }
    }

    fn rotate(&mut self) {
        if self.compression.is_some() {
            // The file that is being compressed still has the name the next one needs. The live file may grow
            // meanwhile, but not without bound.
            if self.size < self.capacity.saturating_mul(2) {
                return;
            }
            self.compressed();
        }
        self.close();
        let first = numbered(&self.path, 1, false);
        let result = shift(&self.path, self.files, self.compress);
        if result.is_err() || self.files < 2 {
            // Without a place for the old file its content goes: the bound holds.
            let _ = fs::remove_file(&self.path);
        }
        let _ = self.reopen();
        if self.compress && result.is_ok() {
            self.compression = Compression::start(&first, &numbered(&self.path, 1, true));
        }
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.close();
    }
}

impl Sink for LogFile {
    fn begin(&mut self) -> &mut Vec<u8> {
        let full = self.size + self.batch.len() as u64 >= self.capacity;
        if full || self.batch.len() >= BATCH {
            self.make_room();
            self.flush();
        }
        if full && self.size >= self.capacity {
            self.rotate();
        }
        self.batch_lines += 1;
        &mut self.batch
    }
}

/// Writes entries and returns how many bytes of them are in the file: all, or those of the entries that fit entirely.
fn write_entries(file: &mut File, entries: &[u8], size: u64) -> usize {
    let mut written = 0;
    while written < entries.len() {
        match file.write(&entries[written..]) {
            Ok(0) => break,
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if written == entries.len() {
        return written;
    }
    let whole = memchr::memrchr(b'\n', &entries[..written]).map_or(0, |end| end + 1);
    if whole < written && file.set_len(size + whole as u64).is_err() {
        // Half an entry stays: a line end keeps it from spoiling the next one.
        let _ = file.write_all(b"\n");
    }
    whole
}

/// Renames `x.(n-1)` to `x.n` and so on down to `x` to `x.1`; the oldest goes.
fn shift(path: &Path, files: u32, compressed: bool) -> io::Result<()> {
    if files < 2 {
        return Ok(());
    }
    // Of a large `max-file` only the names in use matter.
    let used = (1..files).find(|n| !numbered(path, *n, compressed).exists()).unwrap_or(files - 1);
    // A rename that replaces a file makes ext4 write out the new one at once, which costs more than all the rest.
    remove(&numbered(path, used, compressed))?;
    if compressed {
        // Left by a compression that failed.
        remove(&numbered(path, 1, false))?;
    }
    for n in (1..used).rev() {
        rename(&numbered(path, n, compressed), &numbered(path, n + 1, compressed))?;
    }
    rename(path, &numbered(path, 1, false))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn numbered(path: &Path, number: u32, compressed: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{}", if compressed { ".gz" } else { "" }));
    name.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::log::{Log, Stream};

    fn log(dir: &Path, max_size: i64, max_file: u32, compress: bool) -> Log {
        Log::open(&LogConfig {
            path: dir.join("c.log"),
            max_size: Some(max_size),
            max_file: Some(max_file),
            compress,
            ..LogConfig::default()
        })
    }

    fn write(log: &mut Log, stream: Stream, output: &[u8]) {
        log.write(stream, output);
        log.flush();
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            dir.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Texts of all entries, oldest file first.
    fn texts(dir: &Path) -> Vec<String> {
        let mut files = names(dir);
        files.sort_by_key(|n| {
            std::cmp::Reverse(
                n.trim_end_matches(".gz").rsplit('.').next().unwrap().parse::<u32>().unwrap_or(0),
            )
        });
        let mut texts = Vec::new();
        for name in files {
            let mut text = String::new();
            let file = File::open(dir.join(&name)).unwrap();
            if name.ends_with(".gz") {
                flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
            } else {
                (&file).read_to_string(&mut text).unwrap();
            }
            for line in text.lines() {
                let entry: BTreeMap<String, String> = serde_json::from_str(line).unwrap();
                texts.push(entry["log"].clone());
            }
        }
        texts
    }

    fn numbers(from: u32, to: u32) -> Vec<String> {
        (from..to).map(|i| format!("{i:040}\n")).collect()
    }

    #[test]
    fn rotation_keeps_the_newest_entries_in_whole_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 1000, 3, false);
        write(&mut log, Stream::Stdout, numbers(0, 500).concat().as_bytes());
        assert_eq!(names(dir.path()), ["c.log", "c.log.1", "c.log.2"]);
        let texts = texts(dir.path());
        assert_eq!(texts, numbers(500 - texts.len() as u32, 500), "no gap, and the newest is there");
        for old in ["c.log.1", "c.log.2"] {
            let size = dir.path().join(old).metadata().unwrap().len();
            assert!((1000..1200).contains(&size), "{old} has {size} bytes");
        }
        assert_eq!(log.status(), LogStatus { lines: 500, ..LogStatus::default() });
    }

    #[test]
    fn a_single_file_is_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 1000, 1, false);
        for i in 0..100 {
            write(&mut log, Stream::Stderr, numbers(i, i + 1).concat().as_bytes());
        }
        assert_eq!(names(dir.path()), ["c.log"]);
        assert!(dir.path().join("c.log").metadata().unwrap().len() < 1200);
        assert_eq!(texts(dir.path()).last(), numbers(99, 100).last());
    }

    #[test]
    fn room_made_ahead_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.log");
        let allocated = || path.metadata().unwrap().blocks() * 512;
        let mut log = log(dir.path(), -1, 3, false);
        write(&mut log, Stream::Stdout, &b"line\n".repeat(100_000));
        let (size, before) = (path.metadata().unwrap().len(), allocated());
        drop(log);
        assert_eq!(path.metadata().unwrap().len(), size);
        assert!(before > allocated() && allocated() < size + AHEAD / 8, "{before}, {}", allocated());
    }

    #[test]
    fn without_a_bound_nothing_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), -1, 3, false);
        write(&mut log, Stream::Stdout, numbers(0, 5000).concat().as_bytes());
        assert_eq!(texts(dir.path()), numbers(0, 5000));
    }

    #[test]
    fn rotated_files_are_compressed_by_another_process() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 4000, 4, true);
        for i in 0..200 {
            write(&mut log, Stream::Stdout, numbers(i, i + 1).concat().as_bytes());
            log.compressed();
        }
        assert_eq!(names(dir.path()), ["c.log", "c.log.1.gz", "c.log.2.gz", "c.log.3.gz"]);
        let texts = texts(dir.path());
        assert_eq!(texts, numbers(200 - texts.len() as u32, 200));
    }

    #[test]
    fn a_file_that_cannot_be_opened_costs_entries_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let mut log = log(&missing, 1000, 2, false);
        write(&mut log, Stream::Stdout, b"one\ntwo\n");
        assert_eq!(log.status().dropped_lines, 2);
        fs::create_dir(&missing).unwrap();
        write(&mut log, Stream::Stdout, b"three\n");
        assert_eq!(texts(&missing), ["three\n"]);
        assert_eq!(log.status().lines, 1);
    }

    #[test]
    fn the_file_is_not_for_everyone() {
        let dir = tempfile::tempdir().unwrap();
        log(dir.path(), 1000, 2, false);
        assert_eq!(dir.path().join("c.log").metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
}

//! What an attached stream has not read yet: in memory first, then in a file without a name.
//!
//! The container must never wait for a reader, and a reader that is only slow should lose nothing. So output queues up to
//! [`MEMORY`] bytes in memory, further output goes to a file whose consumed ranges are given back, and only when that has
//! grown beyond [`LIMIT`], or cannot be written, is the reader given up.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{FallocateFlags, Mode, OFlags};

/// Bytes kept in memory before the file is used.
pub(crate) const MEMORY: usize = 256 << 10;
/// Bytes the file may hold.
pub(crate) const LIMIT: u64 = 1 << 30;
/// Consumed bytes of the file are given back in pieces of this size.
const PUNCH: u64 = 1 << 20;
/// Bytes fetched from the file at once.
const FETCH: usize = 128 << 10;

/// A queue of bytes; what is in memory is older than what is in the file.
#[derive(Debug)]
pub(crate) struct SpillQueue {
    dir: Rc<PathBuf>,
    memory: Vec<u8>,
    /// Consumed bytes at the beginning of `memory`.
    head: usize,
    file: Option<SpillFile>,
    limit: u64,
}

#[derive(Debug)]
struct SpillFile {
    file: File,
    read: u64,
    punched: u64,
    end: u64,
}

impl SpillQueue {
    /// An empty queue; `dir` is where its file would be.
    pub(crate) fn new(dir: Rc<PathBuf>) -> SpillQueue {
        SpillQueue { dir, memory: Vec::new(), head: 0, file: None, limit: LIMIT }
    }

    /// The directory of its file.
    pub(crate) fn dir(&self) -> Rc<PathBuf> {
        Rc::clone(&self.dir)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == self.memory.len() && self.file.is_none()
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When they do not fit or the file cannot be written; the queue must then be given up.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() - self.head + bytes.len() <= MEMORY {
            if self.head > 0 && self.memory.len() + bytes.len() > self.memory.capacity() {
                self.memory.drain(..self.head);
                self.head = 0;
            }
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(SpillFile { file: unnamed(&self.dir)?, read: 0, punched: 0, end: 0 }),
        };
        if file.end - file.read + bytes.len() as u64 > self.limit {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        file.file.write_all_at(bytes, file.end)?;
        file.end += bytes.len() as u64;
        Ok(())
    }

    /// The oldest bytes, empty only when the queue is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn front(&mut self) -> io::Result<&[u8]> {
        if self.head == self.memory.len() {
            self.memory.clear();
            self.head = 0;
            self.fetch()?;
        }
        Ok(&self.memory[self.head..])
    }

    /// Removes the oldest `count` bytes, which [`SpillQueue::front`] has returned.
    pub(crate) fn consume(&mut self, count: usize) {
        self.head += count;
        if self.is_empty() {
            self.memory = Vec::new();
            self.head = 0;
        }
    }

    fn fetch(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let wanted = usize::try_from(file.end - file.read).unwrap_or(FETCH).min(FETCH);
        self.memory.resize(wanted, 0);
        file.file.read_exact_at(&mut self.memory, file.read)?;
        file.read += wanted as u64;
        if file.read == file.end {
            self.file = None;
        } else if file.read - file.punched >= PUNCH {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // A file system that cannot do this keeps the space until the file is closed.
            let _ = rustix::fs::fallocate(&file.file, flags, file.punched, file.read - file.punched);
            file.punched = file.read;
        }
        Ok(())
    }
}

/// A file without a name in `dir`.
fn unnamed(dir: &PathBuf) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(dir, OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, mode) {
        Ok(file) => Ok(file.into()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
            let path = dir.join(format!(".spill-{}-{:016x}", std::process::id(), random()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = rustix::fs::open(&path, flags, mode)?;
            rustix::fs::unlink(&path)?;
            Ok(file.into())
        }
        Err(e) => Err(e.into()),
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the name may clash, which O_EXCL notices.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn queue() -> (tempfile::TempDir, SpillQueue) {
        let dir = tempfile::tempdir().unwrap();
        let queue = SpillQueue::new(Rc::new(dir.path().to_owned()));
        (dir, queue)
    }

    /// Bytes of a sequence in which every position can be told.
    fn bytes(from: usize, count: usize) -> Vec<u8> {
        (from..from + count).map(|i| (i / 251 + i) as u8).collect()
    }

    fn take(queue: &mut SpillQueue, most: usize) -> Vec<u8> {
        let front = queue.front().unwrap();
        let piece = front[..front.len().min(most)].to_vec();
        queue.consume(piece.len());
        piece
    }

    #[test]
    fn order_is_kept_through_memory_and_file() {
        let (_dir, mut queue) = queue();
        let (mut pushed, mut taken) = (0, 0);
        for round in 0..400 {
            let count = 1 + round * 7919 % 30_000;
            queue.push(&bytes(pushed, count)).unwrap();
            pushed += count;
            // Reads lag behind at first and catch up later.
            let reads = if round < 200 { 1 } else { 3 };
            for _ in 0..reads {
                let piece = take(&mut queue, 10_007);
                assert_eq!(piece, bytes(taken, piece.len()), "round {round}");
                taken += piece.len();
            }
        }
        while !queue.is_empty() {
            let piece = take(&mut queue, 50_000);
            assert_eq!(piece, bytes(taken, piece.len()));
            taken += piece.len();
        }
        assert_eq!(taken, pushed);
        assert!(queue.file.is_none(), "an emptied queue keeps no file");
    }

    #[test]
    fn the_file_is_used_only_beyond_the_memory_and_gives_consumed_space_back() {
        let (dir, mut queue) = queue();
        queue.push(&bytes(0, MEMORY)).unwrap();
        assert!(queue.file.is_none());
        for i in 0..128 {
            queue.push(&bytes(i, 64 << 10)).unwrap();
        }
        assert_eq!(dir.path().read_dir().unwrap().count(), 0, "the file has no name");
        let blocks =
            |queue: &SpillQueue| queue.file.as_ref().unwrap().file.metadata().unwrap().blocks() * 512;
        assert!(blocks(&queue) >= 8 << 20);
        let mut left = MEMORY + (7 << 20);
        while left > 0 {
            left -= take(&mut queue, left).len();
        }
        assert!(blocks(&queue) <= 3 << 20, "{} bytes held for 1 MiB", blocks(&queue));
    }

    #[test]
    fn beyond_the_limit_is_an_error() {
        let (_dir, mut queue) = queue();
        queue.limit = 1000;
        queue.push(&[0; MEMORY]).unwrap();
        queue.push(&[0; 1000]).unwrap();
        assert_eq!(queue.push(&[0]).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }
}

//! The local disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{Advice, FlockOperation, Timestamps, UTIME_NOW, fadvise, flock, futimens};
use rustix::io::{ReadWriteFlags, preadv2};

use super::{Held, Hold, Reader, Stat, Storage, Writer};

/// Names of files that are being written end like this; nobody lists them.
const TEMPORARY: &str = ".wharf-tmp";
/// Bytes after which the kernel is told to begin writing.
const WRITE_BEHIND: u64 = 8 << 20;
/// The lock file, beside the folders of the reference registry.
const GATE: &str = ".wharf-gate";

/// A folder of the local disk.
pub(crate) struct Disk {
    root: PathBuf,
    counter: AtomicU64,
    /// Fair between the threads of this process; the lock file holds other processes off.
    gate: RwLock<()>,
}

enum Inside<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Exclusive { _guard: RwLockWriteGuard<'a, ()> },
}

struct DiskHold<'a> {
    /// Closing it unlocks it.
    _file: File,
    _inside: Inside<'a>,
}

impl Held for DiskHold<'_> {}

impl Disk {
    /// The registry under `root`. Makes nothing yet.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), counter: AtomicU64::new(0), gate: RwLock::new(()) }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Makes the folder of `path` and returns the nearest folder above it that was there before.
    fn make_parent(&self, path: &Path) -> io::Result<PathBuf> {
        let parent = path.parent().unwrap_or(&self.root);
        let mut existing = parent;
        while !existing.is_dir() {
            existing = existing.parent().unwrap_or(&self.root);
            if existing == self.root {
                break;
            }
        }
        fs::create_dir_all(parent)?;
        Ok(existing.to_owned())
    }

    /// Makes the entry of `path` durable, and those of its folders below `existing`.
    fn sync_entries(&self, path: &Path, existing: &Path) -> io::Result<()> {
        for folder in path.ancestors().skip(1) {
            File::open(folder)?.sync_all()?;
            if folder == existing {
                break;
            }
        }
        Ok(())
    }
}

impl Storage for Disk {
    fn read(&self, key: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(key))
    }

    fn write(&self, key: &str, data: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let existing = self.make_parent(&path)?;
        let unique = self.counter.fetch_add(1, Ordering::Relaxed);
        let temporary = path
            .with_file_name(format!(".{}-{unique}{TEMPORARY}", rustix::process::getpid().as_raw_nonzero()));
        let written = (|| {
            let mut file = File::create(&temporary)?;
            file.write_all(data)?;
            file.sync_data()?;
            fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.sync_entries(&path, &existing)
    }

    fn open(&self, key: &str) -> io::Result<Box<dyn Reader>> {
        let file = File::open(self.path(key))?;
        let size = file.metadata()?.len();
        Ok(Box::new(DiskReader { file, size }))
    }

    fn create(&self, key: &str) -> io::Result<Box<dyn Writer>> {
        if let Some(parent) = self.path(key).parent() {
            fs::create_dir_all(parent)?;
        }
        self.append(key)
    }

    fn append(&self, key: &str) -> io::Result<Box<dyn Writer>> {
        let file = OpenOptions::new().append(true).create(true).open(self.path(key))?;
        let length = file.metadata()?.len();
        Ok(Box::new(DiskWriter { file, length, flushing: length }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let to = self.path(to);
        let existing = self.make_parent(&to)?;
        fs::rename(self.path(from), &to)?;
        self.sync_entries(&to, &existing)
    }

    fn stat(&self, key: &str) -> io::Result<Option<Stat>> {
        match fs::metadata(self.path(key)) {
            Ok(metadata) if metadata.is_file() => {
                Ok(Some(Stat { size: metadata.len(), modified: metadata.modified()? }))
            }
            Ok(_) => Ok(None),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, key: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(key)) {
            Ok(entries) => entries,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry?.file_name().into_string()
                && !name.ends_with(TEMPORARY)
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn touch(&self, key: &str) -> io::Result<()> {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let file = File::open(self.path(key))?;
        Ok(futimens(&file, &Timestamps { last_access: now, last_modification: now })?)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        let path = self.path(key);
        let removed = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if is_missing(&error) => Ok(()),
            other => other,
        }
    }

    fn remove_durably(&self, key: &str) -> io::Result<()> {
        self.remove(key)?;
        let path = self.path(key);
        match path.parent().map(File::open) {
            Some(Ok(folder)) => folder.sync_all(),
            Some(Err(error)) if !is_missing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn hold(&self, hold: Hold) -> io::Result<Box<dyn Held + '_>> {
        // The lock guards no data in memory, so a holder that panicked broke nothing.
        let (inside, operation) = match hold {
            Hold::Shared => {
                let guard = self.gate.read().unwrap_or_else(PoisonError::into_inner);
                (Inside::Shared { _guard: guard }, FlockOperation::LockShared)
            }
            Hold::Exclusive => {
                let guard = self.gate.write().unwrap_or_else(PoisonError::into_inner);
                (Inside::Exclusive { _guard: guard }, FlockOperation::LockExclusive)
            }
        };
        let path = self.path(GATE);
        let open = || OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = match open() {
            Err(error) if is_missing(&error) => {
                fs::create_dir_all(&self.root)?;
                open()?
            }
            other => other?,
        };
        flock(&file, operation)?;
        Ok(Box::new(DiskHold { _file: file, _inside: inside }))
    }
}

/// No such file, also because a part of its path is a file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

struct DiskReader {
    file: File,
    size: u64,
}

impl Reader for DiskReader {
    fn read_now(&self, offset: u64, into: &mut [u8]) -> Option<usize> {
        // An error: not in memory, or a kernel or file system that cannot tell.
        let read = preadv2(&self.file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT);
        read.ok().filter(|read| *read > 0)
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::pread(&self.file, &mut *into, offset) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

struct DiskWriter {
    file: File,
    /// Length of the file.
    length: u64,
    /// Up to where the kernel was told to write it out.
    flushing: u64,
}

impl DiskWriter {
    /// Has the kernel begin to write out what was appended, so that there is little left to wait for at the end.
    fn write_behind(&mut self) {
        if let Some(length) = NonZeroU64::new(self.length - self.flushing)
            && length.get() >= WRITE_BEHIND
        {
            // Pages that are still to be written stay in memory; it is only a hint, so its failure is none.
            let _ = fadvise(&self.file, self.flushing, Some(length), Advice::DontNeed);
            self.flushing = self.length;
        }
    }
}

impl Writer for DiskWriter {
    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.length += data.len() as u64;
        self.write_behind();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        (self.length, self.flushing) = (length, length.min(self.flushing));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_listed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(&folder.path().join("new"));
        disk.write("a/b/one", b"1").unwrap();
        disk.write("a/b/one", b"22").unwrap();
        disk.write("a/b/two", b"").unwrap();
        assert_eq!(disk.read("a/b/one").unwrap(), b"22");
        assert_eq!(disk.list("a/b").unwrap(), ["one", "two"]);
        assert!(disk.list("a/none").unwrap().is_empty() && disk.list("a/b/one/x").unwrap().is_empty());
        assert_eq!(disk.stat("a/b/one").unwrap().unwrap().size, 2);
        assert!(disk.stat("a/b").unwrap().is_none() && disk.stat("a/b/one/x").unwrap().is_none());
        disk.remove("a/b").unwrap();
        disk.remove("a/b").unwrap();
        assert!(disk.list("a").unwrap().is_empty());
    }

    #[test]
    fn a_file_grows_and_moves() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        assert_eq!(disk.append("up/data").err().unwrap().kind(), io::ErrorKind::NotFound);
        disk.create("up/data").unwrap().append(b"hello, ").unwrap();
        let mut writer = disk.append("up/data").unwrap();
        writer.append(b"worldly").unwrap();
        writer.truncate(12).unwrap();
        writer.sync().unwrap();
        disk.rename("up/data", "blobs/x/data").unwrap();
        let reader = disk.open("blobs/x/data").unwrap();
        let mut bytes = [0; 3];
        assert_eq!(reader.read_at(7, &mut bytes).unwrap(), 3);
        assert_eq!(&bytes, b"wor");
        assert_eq!((reader.size(), reader.read_at(12, &mut bytes).unwrap()), (12, 0));
    }

    #[test]
    fn a_sweep_waits_for_those_who_refer() {
        let folder = tempfile::tempdir().unwrap();
        // Two of them stand for two processes.
        let (server, collector) = (Disk::new(folder.path()), Disk::new(folder.path()));
        let shared = server.hold(Hold::Shared).unwrap();
        let another = server.hold(Hold::Shared).unwrap();
        let held = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            let sweep = scope.spawn(|| {
                let _alone = collector.hold(Hold::Exclusive).unwrap();
                held.load(Ordering::SeqCst)
            });
            drop(another);
            held.store(false, Ordering::SeqCst);
            drop(shared);
            assert!(!sweep.join().unwrap());
        });
    }
}

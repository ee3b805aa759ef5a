//! Where a registry keeps its files.
//!
//! [`Storage`] is the seam between the registry and what its bytes lie on. Keys are relative paths with `/` between their
//! parts ([`super::layout`] makes them); all calls block.

mod disk;

use std::io;
use std::time::SystemTime;

pub(crate) use disk::Disk;

/// What is known of a stored file without reading it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    /// Length in bytes.
    pub(crate) size: u64,
    /// When it was written or touched last.
    pub(crate) modified: SystemTime,
}

/// How the storage is held against a concurrent sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// By whoever makes references to blobs: many at once.
    Shared,
    /// By whoever removes blobs: alone.
    Exclusive,
}

/// Keeps a [`Hold`] until it is dropped.
pub(crate) trait Held {}

/// A stored file that is open for reading.
pub(crate) trait Reader: Send + Sync {
    /// Length in bytes.
    fn size(&self) -> u64;

    /// Fills `into` from its beginning with bytes from `offset` on. Returns how many; 0 at the end only.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Fills `into` from its beginning with bytes from `offset` on, if some can be had without waiting. Returns how many.
    fn read_now(&self, offset: u64, into: &mut [u8]) -> Option<usize>;
}

/// A file that grows: an upload.
pub(crate) trait Writer: Send {
    /// Appends `data`.
    fn append(&mut self, data: &[u8]) -> io::Result<()>;

    /// Forgets everything after the first `length` bytes.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Makes durable what was appended.
    fn sync(&mut self) -> io::Result<()>;
}

/// A key-value store with growing files. Missing keys are [`io::ErrorKind::NotFound`] unless said otherwise.
pub(crate) trait Storage: Send + Sync {
    /// The whole content, for small files.
    fn read(&self, key: &str) -> io::Result<Vec<u8>>;

    /// Writes a small file, replacing another: durably, and never seen half.
    fn write(&self, key: &str, data: &[u8]) -> io::Result<()>;

    /// Opens a file for reading.
    fn open(&self, key: &str) -> io::Result<Box<dyn Reader>>;

    /// Makes an empty file.
    fn create(&self, key: &str) -> io::Result<Box<dyn Writer>>;

    /// Opens a file for appending. It is made if it is missing, but not what it lies in: that is `NotFound`.
    fn append(&self, key: &str) -> io::Result<Box<dyn Writer>>;

    /// Durably gives a synced file another key.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Size and time of a file; `None` if there is none.
    fn stat(&self, key: &str) -> io::Result<Option<Stat>>;

    /// Names directly below `key`, sorted; none if there is no such key.
    fn list(&self, key: &str) -> io::Result<Vec<String>>;

    /// Sets the time of a file to now.
    fn touch(&self, key: &str) -> io::Result<()>;

    /// Removes a file, or everything below `key`. Nothing happens if there is none.
    fn remove(&self, key: &str) -> io::Result<()>;

    /// As [`Storage::remove`], and what is gone stays gone, also after a power failure.
    fn remove_durably(&self, key: &str) -> io::Result<()>;

    /// Waits until the storage can be held. Whoever refers to a blob (checks that it is there, touches it, writes the
    /// reference) does so in a shared hold; a sweep looks at times and removes in an exclusive one.
    fn hold(&self, hold: Hold) -> io::Result<Box<dyn Held + '_>>;
}

//! Removal: a rename into `trash/` on the request's path, the deleting later.

use std::path::Path;
use std::sync::PoisonError;

use crate::{Error, Result, Store};

impl Store {
    /// Moves a folder out of the way. One that is not there is fine.
    pub fn discard(&self, path: &Path) -> Result<()> {
        let target = self.trash_dir().join(random_name()?);
        match std::fs::rename(path, &target) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", path, source))
            }
            _ => Ok(()),
        }
    }

    /// Deletes what was removed, and layers that nothing uses. Meant for a background thread: it takes as long as
    /// deleting takes. Returns the number of bytes of disk space given back, roughly.
    ///
    /// The first failure is returned after everything else was tried.
    pub fn empty_trash(&self) -> Result<u64> {
        // Two at once would only trip over each other.
        let _guard = self.0.emptying.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.free_space();
        let unused = self.drop_unused_layers();
        let folder = self.trash_dir();
        let entries = std::fs::read_dir(&folder).map_err(|source| Error::io("read", &folder, source))?;
        let mut result = unused;
        for entry in entries.flatten() {
            if let Err(source) = remove_tree(&entry.path()) {
                result = result.and(Err(Error::io("delete", entry.path(), source)));
            }
        }
        result.map(|()| self.free_space().saturating_sub(before))
    }

    fn free_space(&self) -> u64 {
        rustix::fs::statvfs(self.trash_dir()).map(|stat| stat.f_bfree * stat.f_frsize).unwrap_or(0)
    }
}

/// Deletes a file or a tree; one that is gone already is fine.
pub(crate) fn remove_tree(path: &Path) -> std::io::Result<()> {
    let gone = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match std::fs::symlink_metadata(path) {
        Ok(stat) if stat.is_dir() => gone(std::fs::remove_dir_all(path)),
        Ok(_) => gone(std::fs::remove_file(path)),
        Err(error) => gone(Err(error)),
    }
}

/// 128 random bits in hexadecimal.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| Error::io("read", "/dev/urandom", errno))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

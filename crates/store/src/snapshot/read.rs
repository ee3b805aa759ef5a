//! Single files of a container that does not run.

use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::FileType;

use crate::merged::{self, Folder, Place};
use crate::{Error, Result, Snapshot};

impl Snapshot {
    /// The content of the plain file at `path` in the container's file system, with links followed inside it; `None` if
    /// there is none. Of a file longer than `limit` bytes, an error.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        use std::os::unix::ffi::OsStrExt;
        let failed = |errno| Error::io("read", path, errno);
        let mounts = self.mounts();
        let layers = std::iter::once(&mounts.upper).chain(&mounts.lower).cloned();
        let root = Folder::root(layers).map_err(|(path, errno)| Error::io("read", path, errno))?;
        let found = merged::find(&Rc::new(root), path.as_os_str().as_bytes()).map_err(failed)?;
        let Some(Place::Other { folder, name, part, stat }) = found else { return Ok(None) };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut content = Vec::new();
        let file = folder.open(part, &name).map_err(failed)?;
        file.take(limit + 1).read_to_end(&mut content).map_err(|source| Error::io("read", path, source))?;
        if content.len() as u64 > limit {
            return Err(Error::Limit { what: "bytes in a file", limit });
        }
        Ok(Some(content))
    }
}

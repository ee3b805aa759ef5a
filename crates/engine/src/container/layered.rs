//! Reading single files of a container's file system without mounting it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2},
    io::Errno,
};
use wharf_store::Mounts;

/// Larger than any real account file, smaller than what would hurt the engine.
const LIMIT: u64 = 16 << 20;

/// Reads the file at `path` (relative) from the topmost layer that has it; `None` if none has or it was deleted.
///
/// Links are followed inside their own layer only, which is enough for the files of `/etc` that are read this way.
///
/// # Errors
/// The file is there and cannot be read.
pub(super) fn read(mounts: &Mounts, path: &str) -> io::Result<Option<Vec<u8>>> {
    for folder in std::iter::once(&mounts.upper).chain(&mounts.lower) {
        match read_in(folder, path)? {
            Found::File(content) => return Ok(Some(content)),
            Found::Deleted => return Ok(None),
            Found::Nothing => {}
        }
    }
    Ok(None)
}

enum Found {
    File(Vec<u8>),
    /// A whiteout: layers below do not count.
    Deleted,
    Nothing,
}

fn read_in(folder: &Path, path: &str) -> io::Result<Found> {
    let root = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = match openat2(&root, path, flags, Mode::empty(), resolve) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    // The kind is known before the file is opened for reading: opening a device or a pipe could block.
    match FileType::from_raw_mode(fstat(&found)?.st_mode) {
        FileType::RegularFile => {}
        FileType::CharacterDevice => return Ok(Found::Deleted),
        _ => return Ok(Found::Nothing),
    }
    let file =
        openat2(&root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    let mut content = Vec::new();
    File::from(file).take(LIMIT).read_to_end(&mut content)?;
    Ok(Found::File(content))
}

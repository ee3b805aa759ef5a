//! Putting files into a file system that nobody else uses. Every path is opened with the file system as its root.

use std::{
    fs::File,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chmod, chownat,
        fchmod, fchown, fstat, ftruncate, futimens, mkdirat, mknodat, openat, openat2, statat, symlinkat,
        unlinkat, utimensat,
    },
    io::Errno,
};

use super::select::INSIDE;
use crate::{Error, Result, container::follow};

/// Attributes of what is put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    /// Permission bits, with set-id and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
}

impl Attributes {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        }
    }

    fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.mtime.0, tv_nsec: self.mtime.1.into() };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// Files of at most so many bytes are copied through memory: looking for holes costs more.
const SMALL: u64 = 64 << 10;

/// Bytes copied through memory at once.
const PIECE: usize = 128 << 10;

/// Mode of folders that are made because something needs them.
pub(super) const FOLDER_MODE: u32 = 0o755;

/// Opens a folder for use as a starting point.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The folder at an absolute path, which is made with its parents if it is missing: of this owner and mode.
pub(super) fn make_folders(
    root: BorrowedFd<'_>,
    path: &str,
    owner: (u32, u32),
    mode: u32,
) -> Result<OwnedFd> {
    let open = |path: &str| openat2(root, path, FOLDER, Mode::empty(), INSIDE);
    match open(if path.is_empty() { "." } else { path }) {
        Err(Errno::NOENT) => {}
        other => return other.map_err(|errno| failed("open", path, errno)),
    }
    // Where a link leads to nothing, what it leads to is made.
    let path = follow(root, path);
    let mut folder = open(".").map_err(|errno| failed("open", "/", errno))?;
    let mut at = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        at = format!("{at}/{part}");
        folder = match open(&at) {
            Err(Errno::NOENT) => {
                make_one(&folder, part, owner, mode).map_err(|errno| failed("mkdir", &at, errno))?
            }
            other => other.map_err(|errno| failed("open", &at, errno))?,
        };
    }
    Ok(folder)
}

/// Makes a folder in a folder.
fn make_one(parent: &OwnedFd, name: &str, owner: (u32, u32), mode: u32) -> Result<OwnedFd, Errno> {
    mkdirat(parent, name, Mode::from_raw_mode(FOLDER_MODE))?;
    let made = openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
    // The umask may have taken bits away.
    set_folder_mode(&made, mode)?;
    if owner != (0, 0) {
        let (uid, gid) = (Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)));
        chownat(&made, "", uid, gid, AtFlags::EMPTY_PATH)?;
    }
    Ok(made)
}

/// A folder in a folder, made if it is missing; whether it was made. Anything else of that name makes way.
pub(super) fn make_folder(parent: &OwnedFd, name: &[u8], shown: &str) -> Result<(OwnedFd, bool)> {
    let failed = |errno| failed("mkdir", shown, errno);
    let open = || openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty());
    match open() {
        Ok(folder) => return Ok((folder, false)),
        Err(Errno::NOENT) => {}
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return Err(Error::system(format!("cannot copy to non-directory: {shown}")));
        }
        Err(errno) => return Err(failed(errno)),
    }
    mkdirat(parent, name, Mode::from_raw_mode(0o700)).map_err(failed)?;
    Ok((open().map_err(failed)?, true))
}

/// Gives a folder its attributes; the time comes last, when nothing is made in it any more.
pub(super) fn finish_folder(folder: &OwnedFd, attributes: &Attributes, shown: &str) -> Result<()> {
    let set = || {
        let (uid, gid) = owner(attributes);
        chownat(folder, "", uid, gid, AtFlags::EMPTY_PATH)?;
        set_folder_mode(folder, attributes.mode)?;
        utimensat(rustix::fs::CWD, by_descriptor(folder), &attributes.times(), AtFlags::empty())
    };
    set().map_err(|errno| failed("chmod", shown, errno))
}

/// Writes a plain file, in the place of what has the name. Holes of the source stay holes.
pub(super) fn put_file(
    parent: &OwnedFd,
    name: &[u8],
    content: &File,
    attributes: &Attributes,
    shown: &str,
) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let create = || openat(parent, name, flags, Mode::from_raw_mode(0o600));
    let file = match create() {
        Err(Errno::EXIST) => {
            make_way(parent, name, shown)?;
            create()
        }
        other => other,
    };
    let put = |file: OwnedFd| {
        copy_content(content, &file)?;
        if (attributes.uid, attributes.gid) != (0, 0) {
            let (uid, gid) = owner(attributes);
            fchown(&file, uid, gid)?;
        }
        // After the owner, since changing that drops the set-id bits.
        fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
        if attributes.mode & 0o111 != 0 {
            copy_capability(content, &file);
        }
        futimens(&file, &attributes.times())
    };
    file.and_then(put).map_err(|errno| failed("write", shown, errno))
}

/// Makes a symbolic link, in the place of what has the name.
pub(super) fn put_link(
    parent: &OwnedFd,
    name: &[u8],
    target: &[u8],
    attributes: &Attributes,
    shown: &str,
) -> Result<()> {
    make_way(parent, name, shown)?;
    let put = || {
        symlinkat(target, parent, name)?;
        let (uid, gid) = owner(attributes);
        chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        utimensat(parent, name, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW)
    };
    put().map_err(|errno| failed("symlink", shown, errno))
}

/// Makes a device or pipe like one of another file system, in the place of what has the name.
pub(super) fn put_special(parent: &OwnedFd, name: &[u8], like: &Stat, shown: &str) -> Result<()> {
    make_way(parent, name, shown)?;
    let attributes = Attributes::of(like);
    let put = || {
        let kind = FileType::from_raw_mode(like.st_mode);
        mknodat(parent, name, kind, Mode::from_raw_mode(0o600), like.st_rdev)?;
        let (uid, gid) = owner(&attributes);
        chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        let made = openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        chmod(by_descriptor(&made), Mode::from_raw_mode(attributes.mode))?;
        utimensat(parent, name, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW)
    };
    put().map_err(|errno| failed("mknod", shown, errno))
}

/// Removes what has a name, unless it is a folder.
fn make_way(parent: &OwnedFd, name: &[u8], shown: &str) -> Result<()> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            return Err(Error::system(format!("cannot copy to directory {shown}: it is a directory")));
        }
        _ => {}
    }
    unlinkat(parent, name, AtFlags::empty()).map_err(|errno| failed("unlink", shown, errno))
}

fn copy_content(from: &File, to: &OwnedFd) -> Result<(), Errno> {
    let length = fstat(from)?.st_size.unsigned_abs();
    if length <= SMALL {
        return copy_through_memory(from, to, 0, length);
    }
    let mut at = 0;
    while at < length {
        let data = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            // A file system that knows no holes.
            Err(Errno::INVAL) => at,
            Err(errno) => return Err(errno),
        };
        let end = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(data)).unwrap_or(length).min(length);
        copy_range(from, to, data, end)?;
        at = end;
    }
    ftruncate(to, length)
}

fn copy_range(from: &File, to: &OwnedFd, start: u64, end: u64) -> Result<(), Errno> {
    let (mut read, mut written) = (start, start);
    while read < end {
        let left = usize::try_from(end - read).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), left) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return copy_through_memory(from, to, read, end);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn copy_through_memory(from: &File, to: &OwnedFd, mut at: u64, end: u64) -> Result<(), Errno> {
    let mut buffer = vec![0; usize::try_from(end - at).unwrap_or(PIECE).min(PIECE)];
    while at < end {
        let want = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        let got = rustix::io::pread(from, &mut buffer[..want], at)?;
        if got == 0 {
            break;
        }
        let mut done = 0;
        while done < got {
            done += rustix::io::pwrite(to, &buffer[done..got], at + done as u64)?;
        }
        at += got as u64;
    }
    Ok(())
}

/// Programs keep the capabilities that are on their files.
fn copy_capability(from: &File, to: &OwnedFd) {
    let mut value = [0; 64];
    if let Ok(length) = rustix::fs::fgetxattr(from, "security.capability", &mut value) {
        let _ = rustix::fs::fsetxattr(to, "security.capability", &value[..length], XattrFlags::empty());
    }
}

fn owner(attributes: &Attributes) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)))
}

fn set_folder_mode(folder: &OwnedFd, mode: u32) -> Result<(), Errno> {
    chmod(by_descriptor(folder), Mode::from_raw_mode(mode))
}

fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn failed(operation: &str, path: &str, errno: Errno) -> Error {
    Error::io(operation, Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())), errno.into())
}

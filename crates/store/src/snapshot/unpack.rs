//! From a tar into a folder of a mounted root, where a running container may change everything at the same time.
//!
//! Folders are opened with the root as root for every link; what is made is new or was removed before, and gets its
//! attributes by descriptor or without following links. So nothing outside the root is touched.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags, chownat, linkat, mkdirat, mknodat, openat, statat,
    symlinkat, utimensat,
};
use rustix::io::Errno;

use crate::layer::{
    Inflate, Parents, clean, hostile, owner, split, times, tolerate, wanted_xattrs, write_content,
};
use crate::tar::{Entry, Input, Kind, Reader, Time};
use crate::{Error, Result, walk};

/// How [`unpack`] treats what the archive says and what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpack {
    /// User and group of everything, instead of the archive's.
    pub owner: Option<(u32, u32)>,
    /// A folder does not make way for something else, nor the other way round.
    pub keep_kinds: bool,
}

/// Unpacks a tar, which may be compressed, into the existing `folder` below `root`; links on the way to it and in it
/// are followed inside the root. Folders are merged, anything else is replaced.
///
/// # Errors
/// An entry whose name leaves `folder` ends the work; what came before it stays.
pub fn unpack(root: BorrowedFd<'_>, folder: &Path, archive: impl Read, options: Unpack) -> Result<()> {
    let own = root.try_clone_to_owned().map_err(|source| Error::io("open", folder, source))?;
    let mut target = Target {
        parents: Parents::new(own),
        base: clean(&[b"./", without_root(folder.as_os_str().as_bytes())].concat())?,
        options,
        folders: Vec::new(),
    };
    let mut stream = Reader::new(Decoded::new(archive)?, ());
    while let Some(entry) = stream.next()? {
        // compat: an absolute name counts from the folder.
        let name = without_root(&entry.name);
        let path = if name.is_empty() { Vec::new() } else { clean(name)? };
        // The folder itself is the user's business.
        if !path.is_empty() {
            target.object(&mut stream, &entry, &path)?;
        }
    }
    stream.finish()?;
    target.finish();
    Ok(())
}

/// A stream that may be compressed, decompressed.
pub struct Decompressed<R: Read>(Inflate<BufReader<R>>);

impl<R: Read> Decompressed<R> {
    /// Recognises the format by the first bytes.
    ///
    /// # Errors
    /// The stream fails, or is compressed with something that is not read here.
    pub fn new(stream: R) -> Result<Self> {
        Ok(Self(Inflate::new(BufReader::with_capacity(64 << 10, stream))?))
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer).map_err(std::io::Error::other)
    }
}

/// A stream, decompressed.
struct Decoded<R: BufRead> {
    stream: Inflate<R>,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
}

impl<R: Read> Decoded<BufReader<R>> {
    fn new(stream: R) -> Result<Self> {
        let stream = Inflate::new(BufReader::with_capacity(64 << 10, stream))?;
        Ok(Self { stream, buffer: vec![0; 64 << 10], at: 0, end: 0 })
    }
}

impl<R: BufRead> Input for Decoded<R> {
    fn fill(&mut self) -> Result<&[u8]> {
        if self.at == self.end {
            (self.at, self.end) = (0, self.stream.read(&mut self.buffer)?);
        }
        Ok(&self.buffer[self.at..self.end])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

struct Target {
    parents: Parents,
    /// The folder, relative to the root.
    base: Vec<u8>,
    options: Unpack,
    /// Modification times of folders, set when nothing is made in them any more.
    folders: Vec<(Vec<u8>, Time)>,
}

impl Target {
    fn object<I: Input>(&mut self, stream: &mut Reader<I, ()>, entry: &Entry, path: &[u8]) -> Result<()> {
        let path = self.below(path);
        let (parent, name) = split(&path);
        let failed = |errno| failed(&path, errno);
        let parent = self.parents.make(parent).map_err(failed)?;
        let exists = self.make_way(entry, &path, &parent, name)?;
        let made = match entry.kind {
            Kind::File => return self.file(stream, entry, &path, &parent, name),
            Kind::Dir if exists => Ok(()),
            Kind::Dir => mkdirat(&*parent, name, Mode::from_raw_mode(0o700)),
            // The attributes are those of the file it links to.
            Kind::Link => return self.link(entry, &path, &parent, name),
            Kind::Symlink => symlinkat(entry.link.as_slice(), &*parent, name),
            Kind::Char | Kind::Block | Kind::Fifo => {
                let kind = match entry.kind {
                    Kind::Char => FileType::CharacterDevice,
                    Kind::Block => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                let device = rustix::fs::makedev(entry.major, entry.minor);
                mknodat(&*parent, name, kind, Mode::from_raw_mode(0o600), device)
            }
            _ => return Err(hostile(&entry.name, "it is of an unknown type")),
        };
        made.and_then(|()| self.attributes(entry, &parent, name)).map_err(failed)?;
        if entry.kind == Kind::Dir {
            self.folders.push((path, entry.mtime));
        }
        Ok(())
    }

    /// The path below the root of one below the folder.
    fn below(&self, path: &[u8]) -> Vec<u8> {
        if self.base.is_empty() { path.to_vec() } else { [self.base.as_slice(), b"/", path].concat() }
    }

    /// Removes what has the name already, unless both are folders; returns whether they are.
    fn make_way(&mut self, entry: &Entry, path: &[u8], parent: &OwnedFd, name: &[u8]) -> Result<bool> {
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(failed(path, errno)),
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_folder && entry.kind == Kind::Dir {
            return Ok(true);
        }
        if self.options.keep_kinds && (is_folder || entry.kind == Kind::Dir) {
            let (old, new) =
                if is_folder { ("directory", "non-directory") } else { ("non-directory", "directory") };
            let text = |path: &[u8]| format!("/{}", String::from_utf8_lossy(path));
            let (path, folder) = (text(path), text(&self.base));
            return Err(Error::Archive(format!("cannot overwrite {old} {path:?} with {new} {folder:?}")));
        }
        walk::remove(parent, name).map_err(|errno| failed(path, errno))?;
        self.parents.clear();
        Ok(false)
    }

    fn file<I: Input>(
        &self,
        stream: &mut Reader<I, ()>,
        entry: &Entry,
        path: &[u8],
        parent: &OwnedFd,
        name: &[u8],
    ) -> Result<()> {
        let failed = |errno| failed(path, errno);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
        let whole = [(0, entry.size)];
        for &(offset, length) in entry.sparse.as_deref().unwrap_or(&whole) {
            write_content(stream, &file, offset, length, &failed)?;
        }
        let settle = || {
            if entry.sparse.is_some() {
                rustix::fs::ftruncate(&file, entry.size)?;
            }
            let (uid, gid) = self.owner(entry);
            rustix::fs::fchown(&file, uid, gid)?;
            for (name, value) in wanted_xattrs(entry) {
                tolerate(rustix::fs::fsetxattr(&file, &*name, value, XattrFlags::empty()))?;
            }
            // After the owner, since changing that drops the set-id bits.
            rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
            rustix::fs::futimens(&file, &times(entry.mtime))
        };
        settle().map_err(failed)
    }

    fn link(&mut self, entry: &Entry, path: &[u8], parent: &OwnedFd, name: &[u8]) -> Result<()> {
        let target = without_root(&entry.link);
        let target = clean(target).map_err(|_| hostile(&entry.name, "it links to a file outside"))?;
        let target = self.below(&target);
        let (folder, of) = split(&target);
        let link = self.parents.open(folder);
        let link = link.and_then(|folder| linkat(&*folder, of, parent, name, AtFlags::empty()));
        link.map_err(|errno| failed(path, errno))
    }

    /// Owner, attributes and times of what is not a plain file.
    fn attributes(&self, entry: &Entry, parent: &Rc<OwnedFd>, name: &[u8]) -> Result<(), Errno> {
        let (uid, gid) = self.owner(entry);
        chownat(&**parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        for (name, value) in wanted_xattrs(entry) {
            tolerate(rustix::fs::lsetxattr(path.as_slice(), &*name, value, XattrFlags::empty()))?;
        }
        if entry.kind == Kind::Symlink {
            return utimensat(&**parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW);
        }
        // Modes are only set through links: so not by name, which may be one by now.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&**parent, name, flags, Mode::empty())?;
        let by_descriptor = format!("/proc/self/fd/{}", made.as_raw_fd());
        rustix::fs::chmod(by_descriptor, Mode::from_raw_mode(entry.mode))?;
        utimensat(&**parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn owner(&self, entry: &Entry) -> (Option<Uid>, Option<Gid>) {
        match self.options.owner {
            Some((uid, gid)) => (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))),
            None => owner(entry),
        }
    }

    /// Sets the times of the folders, as far as they are still there.
    fn finish(mut self) {
        for (path, mtime) in &self.folders {
            if let Ok(folder) = self.parents.open(path) {
                let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
                let _ = utimensat(rustix::fs::CWD, path, &times(*mtime), AtFlags::empty());
            }
        }
    }
}

fn without_root(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"/") {
        name = rest;
    }
    name
}

fn failed(path: &[u8], errno: Errno) -> Error {
    Error::io("write", format!("/{}", String::from_utf8_lossy(path)), errno)
}

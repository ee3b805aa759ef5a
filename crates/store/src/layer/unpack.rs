//! From tar entries to files, all inside one folder.
//!
//! Names are cleaned as text and refused if they leave the root; folders are opened with the tree as root for every
//! link in them; the last component is never followed. So nothing outside is touched, whatever the archive says.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, XattrFlags, chmodat, chownat, mkdirat, mknodat, openat, statat,
    symlinkat, utimensat,
};
use rustix::io::Errno;

use super::Limits;
use super::attributes::{owner, times, tolerate, wanted_xattrs};
use super::parents::{Parents, split};
use super::recipe::RecipeWriter;
use super::replaced::Replaced;
use crate::error::is_full;
use crate::tar::{Entry, Input, Kind, Reader, TarError, Tee, Time};
use crate::{Error, Result};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS_META: &[u8] = b".wh..wh.";

/// What came out of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Bytes of the files.
    pub(crate) size: u64,
    /// Length of the tar.
    pub(crate) tar_size: u64,
}

/// Unpacks a tar into `layer`/diff, which must not exist, and writes the recipe beside it.
pub(crate) fn unpack(input: impl Input, layer: &Path, limits: &Limits) -> Result<Unpacked> {
    let root = layer.join("diff");
    let mut unpacker = Unpacker::new(layer, &root, limits)?;
    let mut reader = Reader::new(input, RecipeWriter::create(&layer.join("recipe"))?);
    while let Some(entry) = reader.next()? {
        unpacker.entry(&mut reader, &entry)?;
    }
    let tar_size = reader.finish()?.finish()?;
    Ok(Unpacked { size: unpacker.finish()?, tar_size })
}

struct Unpacker<'a> {
    root: PathBuf,
    limits: &'a Limits,
    parents: Parents,
    replaced: Replaced,
    /// Modification times of folders, set when nothing is made in them any more.
    folders: Vec<(Vec<u8>, Time)>,
    entries: u64,
    file_bytes: u64,
    /// Bytes of the files, as far as nothing was replaced.
    size: u64,
}

/// Where an entry is to be made.
struct Place {
    parent: Rc<OwnedFd>,
    name: Vec<u8>,
}

type Stream<I> = Reader<I, RecipeWriter>;

impl<'a> Unpacker<'a> {
    fn new(layer: &Path, root: &Path, limits: &'a Limits) -> Result<Self> {
        let error = |errno: Errno| Error::io("create", root, errno);
        rustix::fs::mkdir(root, Mode::from_raw_mode(0o755)).map_err(error)?;
        rustix::fs::chmod(root, Mode::from_raw_mode(0o755)).map_err(error)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty()).map_err(error)?;
        Ok(Self {
            root: root.to_owned(),
            limits,
            parents: Parents::new(fd),
            replaced: Replaced::new(layer),
            folders: Vec::new(),
            entries: 0,
            file_bytes: 0,
            size: 0,
        })
    }

    fn entry<I: Input>(&mut self, stream: &mut Stream<I>, entry: &Entry) -> Result<()> {
        self.entries += 1;
        self.file_bytes = self.file_bytes.saturating_add(entry.size);
        if self.entries > self.limits.entries {
            return Err(Error::Limit { what: "entries", limit: self.limits.entries });
        }
        if self.file_bytes > self.limits.file_bytes {
            return Err(Error::Limit { what: "bytes in files", limit: self.limits.file_bytes });
        }
        let path = clean(&entry.name)?;
        let (parent, name) = split(&path);
        match name {
            b"" => self.root_entry(entry),
            OPAQUE => self.opaque(entry, parent),
            // Bookkeeping of aufs, at the root or below a folder of it.
            name if name.starts_with(AUFS_META) || path.starts_with(AUFS_META) => Ok(()),
            name if name.starts_with(WHITEOUT) => self.whiteout(entry, parent, &name[WHITEOUT.len()..]),
            _ => self.object(stream, entry, &path),
        }
    }

    fn object<I: Input>(&mut self, stream: &mut Stream<I>, entry: &Entry, path: &[u8]) -> Result<()> {
        let (parent, name) = split(path);
        let parent = self.parents.make(parent).map_err(|errno| failed(&self.root, entry, errno))?;
        let place = Place { parent, name: name.to_vec() };
        match entry.kind {
            Kind::File => self.file(stream, entry, path, &place),
            Kind::Dir => self.folder(entry, path, &place),
            Kind::Link => self.link(entry, &place),
            Kind::Symlink => {
                self.make(entry, &place, |p| symlinkat(entry.link.as_slice(), &*p.parent, &p.name))?;
                self.size += entry.link.len() as u64;
                self.attributes(entry, &place)
            }
            Kind::Char | Kind::Block | Kind::Fifo => self.node(entry, &place),
            _ => Err(hostile(&entry.name, "it is of an unknown type")),
        }
    }

    fn file<I: Input>(
        &mut self,
        stream: &mut Stream<I>,
        entry: &Entry,
        path: &[u8],
        place: &Place,
    ) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.make(entry, place, |p| {
            openat(&*p.parent, p.name.as_slice(), flags, Mode::from_raw_mode(0o600))
        })?;
        let failed = |errno| failed(&self.root, entry, errno);
        if entry.stored > 0 {
            let whole = [(0, entry.size)];
            let extents = entry.sparse.as_deref().unwrap_or(&whole);
            let number = stream.tee.file(path, extents)?;
            self.replaced.wrote(number, rustix::fs::fstat(&file).map_err(failed)?.st_ino);
            for &(offset, length) in extents {
                write_content(stream, &file, offset, length, &failed)?;
            }
        }
        if entry.sparse.is_some() {
            rustix::fs::ftruncate(&file, entry.size).map_err(failed)?;
        }
        self.size += entry.size;
        let (uid, gid) = owner(entry);
        rustix::fs::fchown(&file, uid, gid).map_err(failed)?;
        for (name, value) in wanted_xattrs(entry) {
            tolerate(rustix::fs::fsetxattr(&file, &*name, value, XattrFlags::empty())).map_err(failed)?;
        }
        // After the owner, since changing that drops the set-id bits.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(failed)?;
        rustix::fs::futimens(&file, &times(entry.mtime)).map_err(failed)
    }

    fn folder(&mut self, entry: &Entry, path: &[u8], place: &Place) -> Result<()> {
        match mkdirat(&*place.parent, place.name.as_slice(), Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            // A folder over a folder only changes its attributes.
            Err(Errno::EXIST) if self.is_folder(place) => {}
            Err(Errno::EXIST) => {
                self.make(entry, place, |p| {
                    mkdirat(&*p.parent, p.name.as_slice(), Mode::from_raw_mode(0o700))
                })?;
            }
            Err(errno) => return Err(failed(&self.root, entry, errno)),
        }
        self.folders.push((path.to_vec(), entry.mtime));
        self.attributes(entry, place)
    }

    fn link(&mut self, entry: &Entry, place: &Place) -> Result<()> {
        let target = clean(&entry.link).map_err(|_| hostile(&entry.name, "it links to a file outside"))?;
        let (folder, name) = split(&target);
        if name.is_empty() {
            return Err(hostile(&entry.name, "it links to the root"));
        }
        let folder = self.parents.open(folder).map_err(|errno| failed(&self.root, entry, errno))?;
        let same = |a: &Place| -> Result<bool, Errno> {
            let from = statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let to = statat(&*a.parent, a.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
            Ok((from.st_dev, from.st_ino) == (to.st_dev, to.st_ino))
        };
        let link =
            |p: &Place| rustix::fs::linkat(&*folder, name, &*p.parent, p.name.as_slice(), AtFlags::empty());
        match link(place) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) if same(place).map_err(|errno| failed(&self.root, entry, errno))? => Ok(()),
            Err(Errno::EXIST) => self.make(entry, place, link),
            Err(errno) => Err(failed(&self.root, entry, errno)),
        }
    }

    fn node(&mut self, entry: &Entry, place: &Place) -> Result<()> {
        let kind = match entry.kind {
            Kind::Char => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = rustix::fs::makedev(entry.major, entry.minor);
        self.make(entry, place, |p| {
            mknodat(&*p.parent, p.name.as_slice(), kind, Mode::from_raw_mode(0o600), device)
        })?;
        self.attributes(entry, place)
    }

    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Dir {
            return Err(hostile(&entry.name, "it replaces the root"));
        }
        let root = self.parents.root();
        let (uid, gid) = owner(entry);
        let done = rustix::fs::fchown(root, uid, gid)
            .and_then(|()| rustix::fs::fchmod(root, Mode::from_raw_mode(entry.mode)));
        done.map_err(|errno| failed(&self.root, entry, errno))?;
        self.folders.push((Vec::new(), entry.mtime));
        Ok(())
    }

    /// Marks a file of the layers below as removed, in overlayfs's way.
    fn whiteout(&mut self, entry: &Entry, parent: &[u8], name: &[u8]) -> Result<()> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(hostile(&entry.name, "it removes a folder it is in"));
        }
        let parent = self.parents.make(parent).map_err(|errno| failed(&self.root, entry, errno))?;
        let place = Place { parent, name: name.to_vec() };
        self.make(entry, &place, |p| {
            mknodat(&*p.parent, p.name.as_slice(), FileType::CharacterDevice, Mode::empty(), 0)
        })
    }

    /// Marks a folder as hiding those below it.
    fn opaque(&mut self, entry: &Entry, parent: &[u8]) -> Result<()> {
        let folder = self.parents.make(parent).map_err(|errno| failed(&self.root, entry, errno))?;
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let done = rustix::fs::setxattr(path, "trusted.overlay.opaque", b"y", XattrFlags::empty());
        done.map_err(|errno| failed(&self.root, entry, errno))
    }

    /// Makes something under a name; whatever has the name already makes way first.
    fn make<T>(
        &mut self,
        entry: &Entry,
        place: &Place,
        make: impl Fn(&Place) -> Result<T, Errno>,
    ) -> Result<T> {
        match make(place) {
            Err(Errno::EXIST) => {
                let replaced = self.replaced.put_aside(&place.parent, &place.name);
                if replaced.map_err(|errno| failed(&self.root, entry, errno))? {
                    self.parents.clear();
                }
                make(place).map_err(|errno| failed(&self.root, entry, errno))
            }
            other => other.map_err(|errno| failed(&self.root, entry, errno)),
        }
    }

    fn is_folder(&self, place: &Place) -> bool {
        statat(&*place.parent, place.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Owner, attributes and times of something that is not a plain file. Nothing else works in the tree, so what was
    /// just made under the name is what is changed.
    fn attributes(&mut self, entry: &Entry, place: &Place) -> Result<()> {
        let (parent, name) = (&*place.parent, place.name.as_slice());
        let failed = |errno| failed(&self.root, entry, errno);
        let (uid, gid) = owner(entry);
        chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        for (name, value) in wanted_xattrs(entry) {
            tolerate(rustix::fs::lsetxattr(path.as_slice(), &*name, value, XattrFlags::empty()))
                .map_err(failed)?;
        }
        if entry.kind != Kind::Symlink {
            chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty()).map_err(failed)?;
        }
        if entry.kind != Kind::Dir {
            utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        }
        Ok(())
    }

    /// Sets the times of the folders and settles what was replaced. Returns the size of the layer.
    fn finish(mut self) -> Result<u64> {
        for (path, mtime) in &self.folders {
            // One that was replaced by something else has no say any more.
            if let Ok(folder) = self.parents.open(path) {
                let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
                utimensat(rustix::fs::CWD, path, &times(*mtime), AtFlags::empty())
                    .map_err(|errno| Error::io("set times of", &self.root, errno))?;
            }
        }
        match self.replaced.settle(&self.root)? {
            Some(size) => Ok(size),
            None => Ok(self.size),
        }
    }
}

fn failed(root: &Path, entry: &Entry, errno: Errno) -> Error {
    let name = String::from_utf8_lossy(&entry.name).into_owned();
    let source = std::io::Error::from(errno);
    if is_full(&source) {
        return Error::DiskFull { path: root.join(name.trim_start_matches('/')) };
    }
    Error::Entry { name, source }
}

/// Runs of zeros of at least this length, as far as they come in one piece, become holes: tars of sparse files hold all
/// their zeros.
const HOLE: usize = 32 << 10;

/// Writes the next `length` bytes of the entry's content at `offset` of `file`, which is new and has nothing there yet.
pub(crate) fn write_content<I: Input, T: Tee>(
    stream: &mut Reader<I, T>,
    file: &OwnedFd,
    offset: u64,
    length: u64,
    failed: &dyn Fn(Errno) -> Error,
) -> Result<()> {
    let (mut at, mut ends_in_hole) = (offset, false);
    stream.take(length, |mut piece| {
        ends_in_hole = piece.len() >= HOLE && is_zero(piece);
        if ends_in_hole {
            at += piece.len() as u64;
            return Ok(());
        }
        while !piece.is_empty() {
            match rustix::io::pwrite(file, piece, at) {
                Ok(wrote) => {
                    piece = &piece[wrote..];
                    at += wrote as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        Ok(())
    })?;
    if ends_in_hole { rustix::fs::ftruncate(file, at).map_err(failed) } else { Ok(()) }
}

/// Whether there are only zeros: the first byte is one, and each is like the one before it, which one fast comparison
/// tells.
fn is_zero(piece: &[u8]) -> bool {
    piece.first().is_none_or(|&first| first == 0 && piece[1..] == piece[..piece.len() - 1])
}

/// The path an entry's name means, relative to the root, without `.`, `..` and empty components. Empty for the root, from
/// which absolute names begin, as some builders write them. Names that leave the root are refused.
pub(crate) fn clean(name: &[u8]) -> Result<Vec<u8>> {
    let mut path: Vec<&[u8]> = Vec::new();
    for component in name.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if path.pop().is_none() {
                    return Err(hostile(name, "its name leaves the root"));
                }
            }
            component if component.contains(&0) => return Err(TarError::Header.into()),
            component => path.push(component),
        }
    }
    if name.is_empty() {
        return Err(TarError::Header.into());
    }
    Ok(path.join(&b'/'))
}

/// The refusal of an entry.
pub(crate) fn hostile(name: &[u8], reason: &'static str) -> Error {
    Error::Hostile { name: String::from_utf8_lossy(name).into_owned(), reason }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_or_refused() {
        for (name, path) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("./", ""),
            ("/", ""),
            ("a/..", ""),
            ("..a", "..a"),
            ("/a/b", "a/b"),
        ] {
            assert_eq!(clean(name.as_bytes()).unwrap(), path.as_bytes(), "{name}");
        }
        for name in ["../a", "a/../../b", "..", "/.."] {
            assert!(matches!(clean(name.as_bytes()), Err(Error::Hostile { .. })), "{name}");
        }
        assert!(clean(b"").is_err());
    }
}

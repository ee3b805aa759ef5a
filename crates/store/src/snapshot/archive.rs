//! A container's file system as a tar: all of it, or its changes as a layer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use wharf_oci::Digest;

use crate::layer::{LayerInfo, LayerSource, Lease};
use crate::merged::{Folder, Object, attribute_path, is_opaque, is_whiteout};
use crate::tar::write::Writer;
use crate::tar::{Entry, Kind, Time};
use crate::walk::{self, open_folder};
use crate::{Error, Result, Snapshot, Store, xattr};

/// Bytes handed to the reading side at once; what a pipe holds.
const PIECE: usize = 64 << 10;

impl Store {
    /// Stores what a container (or a build step) changed in the folder `upper` as a layer over the one with the chain id
    /// `parent`. The container may run; what it changes meanwhile is in the layer or not. The lease keeps the layer until
    /// an image names it.
    ///
    /// The tar is a function of the folder: entries in the order of their names, whole seconds, no names of owners.
    /// Where nothing changed the layer [is empty](LayerInfo::is_empty), and images do without it.
    ///
    /// # Errors
    /// The folder cannot be read, or the layer not be stored.
    pub fn commit_layer(&self, upper: &Path, parent: Option<&Digest>, lease: &Lease) -> Result<LayerInfo> {
        let source = LayerSource { parent: parent.cloned(), ..LayerSource::default() };
        let (reader, writer) = std::io::pipe().map_err(Error::Write)?;
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || tar_changes(upper, BufWriter::with_capacity(PIECE, writer)));
            let stored = self.ingest_layer(reader, source, lease);
            let written = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (written, stored) {
                // The other side has stopped reading, and knows why.
                (Err(Error::Write(_)), Err(error)) | (Err(error), _) | (Ok(()), Err(error)) => Err(error),
                (Ok(()), Ok(info)) => Ok(info),
            }
        })
    }
}

/// Writes the changes in an upper folder as a layer: what was removed becomes `.wh.` entries.
fn tar_changes(upper: &Path, out: impl Write) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder =
        rustix::fs::open(upper, flags, Mode::empty()).map_err(|errno| Error::io("read", upper, errno))?;
    let mut archive = Archive::new(out);
    archive.changes(&folder, &mut Vec::new())?;
    archive.finish()
}

impl Snapshot {
    /// Writes the whole file system of the container to `out`, without what is mounted in it.
    pub fn export(&self, out: impl Write) -> Result<()> {
        let mut archive = Archive::new(out);
        archive.merged(&self.root()?, &mut Vec::new())?;
        archive.finish()
    }

    /// Writes whole file systems to `out`, each below a folder of its own.
    pub fn export_all(parts: &[(String, &Self)], out: impl Write) -> Result<()> {
        let mut archive = Archive::new(out);
        for (folder, snapshot) in parts {
            let entry = Entry::new(format!("{folder}/"), Kind::Dir, 0o755, Time::default());
            archive.out.put(&entry, None)?;
            // They may share layers, but not the names of what is in them.
            archive.links.clear();
            archive.merged(&snapshot.root()?, &mut folder.clone().into_bytes())?;
        }
        archive.finish()
    }

    fn root(&self) -> Result<Folder> {
        let mounts = self.mounts();
        let layers = std::iter::once(&mounts.upper).chain(&mounts.lower).cloned();
        Folder::root(layers).map_err(|(path, errno)| Error::io("read", path, errno))
    }
}

/// What takes the entries of an archive.
pub(crate) trait Entries {
    /// Takes an entry with its content; what is no plain file has none.
    fn put(&mut self, entry: &Entry, content: Option<File>) -> Result<()>;
}

impl<W: Write> Entries for Writer<W> {
    fn put(&mut self, entry: &Entry, content: Option<File>) -> Result<()> {
        match content {
            Some(mut content) => self.append(entry, &mut content),
            None => self.append(entry, &mut std::io::empty()),
        }
    }
}

/// A tar that files are added to.
pub(crate) struct Archive<O> {
    out: O,
    /// First name of each file with several.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<W: Write> Archive<Writer<W>> {
    pub(super) fn new(out: W) -> Self {
        Self::with(Writer::new(out))
    }

    pub(super) fn finish(self) -> Result<()> {
        self.out.finish().map(drop)
    }
}

impl<O: Entries> Archive<O> {
    /// An archive whose entries go to `out`.
    pub(crate) fn with(out: O) -> Self {
        Self { out, links: HashMap::new() }
    }

    fn merged(&mut self, folder: &Folder, path: &mut Vec<u8>) -> Result<()> {
        let names = folder.names().map_err(|errno| failed(path, errno))?;
        for name in names {
            let length = push(path, &name);
            match folder.get(&name).map_err(|errno| failed(path, errno))? {
                None => {}
                Some(Object::Folder(child, stat)) => {
                    self.object(path, &stat, child.top(), b"")?;
                    self.merged(&child, path)?;
                }
                Some(Object::Other(part, stat)) => self.object(path, &stat, folder.part(part), &name)?,
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// Adds the changes in an upper folder: what was removed becomes `.wh.` entries.
    pub(crate) fn changes(&mut self, folder: &OwnedFd, path: &mut Vec<u8>) -> Result<()> {
        for name in walk::names(folder).map_err(|errno| failed(path, errno))? {
            let Ok(stat) = statat(folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if is_whiteout(&stat) {
                let length = push(path, &[b".wh.", name.as_slice()].concat());
                let entry = Entry::new(path.as_slice(), Kind::File, 0o600, time(&stat));
                self.out.put(&entry, None)?;
                path.truncate(length);
                continue;
            }
            let length = push(path, &name);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let child = open_folder(folder, &name).map_err(|errno| failed(path, errno))?;
                self.object(path, &stat, &child, b"")?;
                if is_opaque(&child) {
                    let marker = [path.as_slice(), b"/.wh..wh..opq"].concat();
                    self.out.put(&Entry::new(marker, Kind::File, 0o755, Time::default()), None)?;
                }
                self.changes(&child, path)?;
            } else {
                self.object(path, &stat, folder, &name)?;
            }
            path.truncate(length);
        }
        Ok(())
    }

    /// Writes one entry; `name` in `folder` is what it is made of. Sockets have no form in a tar and are left out.
    pub(super) fn object(&mut self, path: &[u8], stat: &Stat, folder: &OwnedFd, name: &[u8]) -> Result<()> {
        let failed = |errno| failed(path, errno);
        let Some(kind) = kind(stat) else { return Ok(()) };
        let mut entry = Entry::new(path, kind, stat.st_mode & 0o7777, time(stat));
        (entry.uid, entry.gid) = (stat.st_uid.into(), stat.st_gid.into());
        if kind == Kind::Dir {
            entry.name.push(b'/');
        } else if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                (entry.kind, entry.link) = (Kind::Link, first.clone());
                return self.out.put(&entry, None);
            }
            self.links.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
        match kind {
            Kind::Symlink => {
                let target = rustix::fs::readlinkat(folder, name, Vec::new()).map_err(failed)?;
                entry.link = target.into_bytes();
            }
            Kind::Char | Kind::Block => {
                entry.major = rustix::fs::major(stat.st_rdev);
                entry.minor = rustix::fs::minor(stat.st_rdev);
            }
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = (kind == Kind::File).then(|| openat(folder, name, flags, Mode::empty()).map(File::from));
        let file = file.transpose().map_err(failed)?;
        let xattrs = match &file {
            Some(file) => xattr::list_open(file),
            None => xattr::list(&attribute_path(folder, name)),
        };
        entry.xattrs = xattrs.map_err(failed)?;
        entry.xattrs.retain(|(name, _)| name == b"security.capability" || name.starts_with(b"user."));
        if file.is_some() {
            entry.size = stat.st_size.unsigned_abs();
        }
        self.out.put(&entry, file)
    }
}

fn kind(stat: &Stat) -> Option<Kind> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::Char,
        FileType::BlockDevice => Kind::Block,
        FileType::Fifo => Kind::Fifo,
        _ => return None,
    })
}

fn time(stat: &Stat) -> Time {
    Time { sec: stat.st_mtime, nsec: 0 }
}

/// Appends a component to a path and returns the length to go back to.
fn push(path: &mut Vec<u8>, name: &[u8]) -> usize {
    let length = path.len();
    if length > 0 {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    length
}

pub(super) fn failed(path: &[u8], errno: Errno) -> Error {
    Error::io("read", format!("/{}", String::from_utf8_lossy(path)), errno)
}

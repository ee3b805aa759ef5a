//! A build context that came as an archive: the body of `POST /build`, or a download.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use tar::EntryType;
use wharf_oci::{Algorithm, Digest, Hasher};

use super::tree::{Contents, Kind, Tree, TreeEntry};
use crate::{Engine, Error, Result, ids};

/// Bytes looked at once; a piece of zeros of this length becomes a hole.
const PIECE: usize = 64 << 10;

/// A folder of contents by their digests, deleted when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one; the next start sweeps it if this engine dies.
    pub(super) fn create(engine: &Engine) -> Result<Self> {
        let path = engine.paths.build_temp().join(ids::new_id());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::io("mkdir", &path, error))?;
        Ok(Self(path))
    }

    /// Takes a content in, of at most `limit` bytes; returns its digest and length.
    pub(super) fn store(&self, content: &mut dyn Read, limit: u64) -> Result<(Digest, u64)> {
        let temp = self.0.join("incoming");
        let failed = |error| Error::io("write", &temp, error);
        let mut file = File::create(&temp).map_err(failed)?;
        let (digest, size) = copy_hashed(content, &mut file, limit).map_err(failed)?;
        let place = self.0.join(digest.hex());
        fs::rename(&temp, &place).map_err(failed)?;
        Ok((digest, size))
    }

    /// Where something may lie that is gone when the folder is; no content has such a name.
    pub(super) fn below(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Takes a file in by a rename; returns its digest and length.
    pub(super) fn take(&self, file: &Path) -> Result<(Digest, u64)> {
        let failed = |error| Error::io("read", file, error);
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut content = File::open(file).map_err(failed)?;
        let mut buffer = vec![0; PIECE];
        let mut size = 0;
        loop {
            match content.read(&mut buffer).map_err(failed)? {
                0 => break,
                got => {
                    hasher.update(&buffer[..got]);
                    size += got as u64;
                }
            }
        }
        let digest = hasher.finish();
        fs::rename(file, self.0.join(digest.hex())).map_err(failed)?;
        Ok((digest, size))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a build context stays until the next start");
        }
    }
}

impl Contents for Folder {
    fn fetch(&self, _: &[(&str, &TreeEntry)], _: bool) -> Result<()> {
        // Everything was taken in before.
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join(digest.hex())
    }
}

/// Copies and hashes; long runs of zeros become holes.
pub(super) fn copy_hashed(from: &mut dyn Read, to: &mut File, limit: u64) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; PIECE];
    let mut size = 0u64;
    loop {
        let mut have = 0;
        while have < PIECE {
            match from.read(&mut buffer[have..])? {
                0 => break,
                got => have += got,
            }
        }
        if have == 0 {
            to.set_len(size)?;
            return Ok((hasher.finish(), size));
        }
        size += have as u64;
        if size > limit {
            return Err(io::Error::other(format!("a file exceeds the limit of {limit} bytes")));
        }
        hasher.update(&buffer[..have]);
        if buffer[..have].iter().all(|&byte| byte == 0) {
            to.seek(SeekFrom::Current(have as i64))?;
        } else {
            to.write_all(&buffer[..have])?;
        }
    }
}

/// Reads an archive, which may be compressed, into a listing. Paths that `excluded` names are left out once all is read.
///
/// # Errors
/// An archive that is damaged or hostile, or more than the engine takes.
pub(super) fn read(engine: &Engine, archive: &mut dyn Read) -> Result<(BTreeMap<String, TreeEntry>, Folder)> {
    let folder = Folder::create(engine)?;
    let mut entries = BTreeMap::new();
    let limit = engine.store.limits().tar_bytes;
    let mut left = limit;
    let mut archive = tar::Archive::new(wharf_store::Decompressed::new(archive)?);
    let bad = |error: io::Error| Error::invalid(format!("Error processing tar file: {error}"));
    for entry in archive.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let name = entry.path().map_err(bad)?.into_owned();
        let Some(path) = clean(&name)? else { continue };
        let link = entry.link_name().map_err(bad)?.map(|link| link.to_string_lossy().into_owned());
        let header = entry.header();
        let mut made = TreeEntry {
            mode: header.mode().map_err(bad)? & 0o7777,
            mtime: (i64::try_from(header.mtime().unwrap_or_default()).unwrap_or_default(), 0),
            link: link.unwrap_or_default(),
            ..TreeEntry::default()
        };
        match header.entry_type() {
            EntryType::Directory => made.kind = Kind::Folder,
            EntryType::Symlink => made.kind = Kind::Link,
            EntryType::Link => {
                let target = clean(Path::new(&made.link))?.unwrap_or_default();
                let Some(target) = entries.get(&target).cloned() else {
                    return Err(Error::invalid(format!(
                        "Error processing tar file: link to nothing: {path}"
                    )));
                };
                made = target;
            }
            EntryType::XGlobalHeader => continue,
            kind if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() => {
                // Zeros that are only promised would take long to count.
                if entry.size() > left {
                    return Err(Error::invalid(format!("the context exceeds the limit of {limit} bytes")));
                }
                let (digest, size) = folder.store(&mut entry, left)?;
                left -= size;
                (made.kind, made.size, made.digest) = (Kind::File, size, digest.into());
            }
            _ => made.kind = Kind::Other,
        }
        add_parents(&mut entries, &path);
        entries.insert(path, made);
    }
    Ok((entries, folder))
}

/// Folders that the archive does not name are there all the same.
fn add_parents(entries: &mut BTreeMap<String, TreeEntry>, path: &str) {
    for (at, _) in path.match_indices('/') {
        let folder = || TreeEntry { kind: Kind::Folder, mode: 0o755, ..TreeEntry::default() };
        entries.entry(path[..at].to_owned()).or_insert_with(folder);
    }
}

/// The path of an entry in a listing; nothing for the root.
fn clean(name: &Path) -> Result<Option<String>> {
    let mut parts = Vec::new();
    for part in name.components() {
        match part {
            std::path::Component::Normal(part) => match part.to_str() {
                Some(part) => parts.push(part),
                None => return Err(Error::invalid(format!("file name {} is not UTF-8", name.display()))),
            },
            std::path::Component::ParentDir => {
                return Err(Error::invalid(format!("refusing archive entry {:?}: it leads outside", name)));
            }
            _ => {}
        }
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// A listing of an archive.
pub(super) fn tree(engine: &Engine, archive: &mut dyn Read) -> Result<Tree> {
    let (entries, folder) = read(engine, archive)?;
    Ok(Tree::new(entries, Box::new(folder)))
}

impl crate::Paths {
    /// What builds keep only while they run.
    pub fn build_temp(&self) -> PathBuf {
        self.data_root.join("build").join("temp")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let clean = |name: &str| clean(Path::new(name)).map_err(|error| error.to_string());
        assert_eq!(clean("./a//b/"), Ok(Some("a/b".to_owned())));
        assert_eq!(clean("/a"), Ok(Some("a".to_owned())));
        assert_eq!(clean("./"), Ok(None));
        assert_eq!(
            clean("a/../../b").unwrap_err(),
            r#"refusing archive entry "a/../../b": it leads outside"#
        );
    }

    #[test]
    fn zeros_become_holes() {
        let mut file = tempfile::tempfile().unwrap();
        let mut content = io::repeat(0).take(1 << 20).chain(&b"end"[..]);
        let (digest, size) = copy_hashed(&mut content, &mut file, u64::MAX).unwrap();
        assert_eq!(size, (1 << 20) + 3);
        let mut expected = vec![0; 1 << 20];
        expected.extend_from_slice(b"end");
        assert_eq!(digest, Digest::sha256(&expected));
        assert!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) < 100);
        assert!(copy_hashed(&mut io::repeat(1), &mut file, 1000).is_err());
    }
}

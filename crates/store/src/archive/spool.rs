use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use serde::de::DeserializeOwned;

use crate::layer::Inflate;
use crate::tar::reader::Plain;
use crate::tar::{Kind, Reader};
use crate::{Error, Result, Store};

/// Manifests and configurations, at most; Docker's limit for them.
const MAX_DOCUMENT: u64 = 8 << 20;

/// An archive in a file without a name: it comes from a stream, and its index may stand anywhere in it.
pub(crate) struct Spool {
    file: File,
    members: HashMap<Vec<u8>, Member>,
}

enum Member {
    File { offset: u64, size: u64 },
    Link(Vec<u8>),
}

impl Spool {
    /// Reads an archive (plain, gzip or zstd) to its end.
    pub(crate) fn read(store: &Store, reader: impl Read) -> Result<Self> {
        let mut file = store.spool_file()?;
        let mut stream = Inflate::new(BufReader::with_capacity(128 << 10, reader))?;
        let limit = store.limits().tar_bytes;
        let (mut buffer, mut total) = (vec![0; 256 << 10], 0u64);
        loop {
            let got = stream.read(&mut buffer)?;
            if got == 0 {
                break;
            }
            total += got as u64;
            if total > limit {
                return Err(Error::Limit { what: "bytes uncompressed", limit });
            }
            file.write_all(&buffer[..got]).map_err(|source| Error::io("write", "the archive", source))?;
        }
        file.seek(SeekFrom::Start(0)).map_err(|source| Error::io("read", "the archive", source))?;
        let members = members(BufReader::new(&file), store.limits().entries)?;
        Ok(Self { file, members })
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A file, to be read from its beginning.
    pub(crate) fn open(&self, name: &str) -> Result<Section<'_>> {
        match self.find(name) {
            Some((offset, size)) => Ok(Section { file: &self.file, offset, left: size }),
            None => Err(Error::Archive(format!("invalid image archive: {name} is missing"))),
        }
    }

    /// The content of a document.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let section = self.open(name)?;
        if section.left > MAX_DOCUMENT {
            return Err(Error::Limit { what: "bytes in a document", limit: MAX_DOCUMENT });
        }
        let mut content = Vec::new();
        section.take(MAX_DOCUMENT).read_to_end(&mut content).map_err(Error::Read)?;
        Ok(content)
    }

    /// A JSON document.
    pub(crate) fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_slice(&self.bytes(name)?)
            .map_err(|source| Error::Document { what: name.to_owned(), source })
    }

    fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = clean(b"", name.as_bytes());
        // Older archives link equal layers; links to links are not worth more steps than this.
        for _ in 0..8 {
            match self.members.get(&name)? {
                Member::File { offset, size } => return Some((*offset, *size)),
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }
}

fn members(archive: impl BufRead, limit: u64) -> Result<HashMap<Vec<u8>, Member>> {
    let mut reader = Reader::new(Plain(archive), ());
    let mut members = HashMap::new();
    while let Some(entry) = reader.next()? {
        let name = clean(b"", &entry.name);
        let member = match entry.kind {
            Kind::File if entry.sparse.is_none() => {
                Member::File { offset: reader.offset(), size: entry.size }
            }
            Kind::Link => Member::Link(clean(b"", &entry.link)),
            Kind::Symlink => {
                let folder = name.iter().rposition(|&b| b == b'/').map_or(&b""[..], |slash| &name[..slash]);
                Member::Link(clean(folder, &entry.link))
            }
            _ => continue,
        };
        members.insert(name, member);
        if members.len() as u64 > limit {
            return Err(Error::Limit { what: "entries", limit });
        }
    }
    Ok(members)
}

/// A path within the archive, without `.`, `..` and empty components. Nothing is opened by it.
fn clean(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let mut clean: Vec<&[u8]> = Vec::new();
    let start = if path.starts_with(b"/") { &b""[..] } else { folder };
    for component in start.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match component {
            b"" | b"." => {}
            b".." => drop(clean.pop()),
            component => clean.push(component),
        }
    }
    clean.join(&b'/')
}

/// A file in the archive.
pub(crate) struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Section<'_> {
    /// Bytes left to read.
    pub(crate) fn len(&self) -> u64 {
        self.left
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.file.read_at(&mut buffer[..want], self.offset)?;
        if got == 0 && want > 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_within_the_archive() {
        for (folder, path, expected) in [
            ("", "./blobs//sha256/x", "blobs/sha256/x"),
            ("a/b", "../c/layer.tar", "a/c/layer.tar"),
            ("a", "/x", "x"),
            ("a", "../../../etc/passwd", "etc/passwd"),
        ] {
            assert_eq!(clean(folder.as_bytes(), path.as_bytes()), expected.as_bytes());
        }
    }
}

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use serde::de::DeserializeOwned;
use wharf_oci::Digest;

use super::load::Report;
use super::stream::{Content, Counted, Stream};
use crate::layer::{Ahead, Lease, is_layer, is_of_layer, is_tar};
use crate::tar::{BLOCK, Entry, Kind, Reader};
use crate::{Error, Result, Store};

/// Manifests and configurations, at most; Docker's limit for them.
const MAX_DOCUMENT: u64 = 8 << 20;

/// Layers unpacked before the archive has told their place, at most; further ones are spooled as they are, so that an
/// archive of very many tiny layers does not fill the disk with folders.
const MOST_AHEAD: usize = 1000;

/// An archive that was read once. Its layers were unpacked on the way; documents are in a file without a name, because
/// its index may stand anywhere in it.
pub(crate) struct Spool {
    file: File,
    members: HashMap<Vec<u8>, Member>,
}

enum Member {
    File { offset: u64, size: u64 },
    Layer(Box<Layer>),
    Link(Vec<u8>),
}

/// A file that looks like a layer.
pub(crate) enum Layer {
    /// Unpacked, without a place yet; the length of it in the archive if nothing was reported about it.
    Ahead(Ahead, Option<u64>),
    /// It cannot be unpacked, which matters only if an image needs it.
    Damaged(Error),
    /// What this stored layer consists of.
    Stored(Digest),
}

/// What a name stands for, as a source of a layer.
pub(crate) enum Source<'a> {
    /// A file that was not recognised as a layer.
    File(Section<'a>),
    /// One that was.
    Layer(Layer),
}

impl Spool {
    /// Reads an archive (plain, gzip or zstd) to its end.
    pub(crate) fn read(
        store: &Store,
        reader: impl Read,
        lease: &Lease,
        progress: Report<'_>,
    ) -> Result<Self> {
        let limits = store.limits();
        let mut reader = Reader::new(Stream::new(reader, limits.tar_bytes)?, ());
        let mut filling = Filling {
            store,
            lease,
            progress,
            spool: Self { file: store.spool_file()?, members: HashMap::new() },
            end: 0,
            known: store.by_diff_id()?,
            ahead: 0,
        };
        while let Some(entry) = reader.next()? {
            filling.entry(&entry, &mut reader)?;
            if filling.spool.members.len() as u64 > limits.entries {
                return Err(Error::Limit { what: "entries", limit: limits.entries });
            }
        }
        reader.finish()?;
        Ok(filling.spool)
    }

    /// The source of a layer that is going to have the chain id `chain`; a further layer of it is made of that one.
    pub(crate) fn take(&mut self, name: &str, chain: &Digest) -> Result<Source<'_>> {
        let missing = || Error::Archive(format!("invalid image archive: {name} is missing"));
        let key = self.resolve(name).ok_or_else(missing)?;
        match self.members.get_mut(&key) {
            Some(Member::Layer(layer)) => {
                let stored = match &**layer {
                    Layer::Stored(other) => other,
                    _ => chain,
                };
                let stored = Layer::Stored(stored.clone());
                Ok(Source::Layer(std::mem::replace(&mut **layer, stored)))
            }
            _ => self.open(name).map(Source::File),
        }
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.resolve(name).is_some()
    }

    /// A file that is no layer, to be read from its beginning.
    fn open(&self, name: &str) -> Result<Section<'_>> {
        match self.resolve(name).and_then(|key| self.members.get(&key)) {
            Some(Member::File { offset, size }) => {
                Ok(Section { file: &self.file, offset: *offset, left: *size })
            }
            Some(_) => Err(Error::Archive(format!("invalid image archive: {name} is no document"))),
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

    /// The key of the file a name leads to.
    fn resolve(&self, name: &str) -> Option<Vec<u8>> {
        let mut name = clean(b"", name.as_bytes());
        // Older archives link equal layers; links to links are not worth more steps than this.
        for _ in 0..8 {
            match self.members.get(&name)? {
                Member::Link(target) => name.clone_from(target),
                _ => return Some(name),
            }
        }
        None
    }
}

/// A spool while its archive is read.
struct Filling<'a> {
    store: &'a Store,
    lease: &'a Lease,
    progress: Report<'a>,
    spool: Spool,
    /// Length of the file.
    end: u64,
    /// Stored layers by the digest of their tar.
    known: HashMap<Digest, Digest>,
    /// Layers unpacked so far.
    ahead: usize,
}

impl Filling<'_> {
    fn entry<R: Read>(&mut self, entry: &Entry, reader: &mut Reader<Stream<R>, ()>) -> Result<()> {
        let name = clean(b"", &entry.name);
        let member = match entry.kind {
            Kind::File if entry.sparse.is_none() => {
                let mut content = Content::new(reader);
                let member = self.file(&name, entry.size, &mut content);
                // The archive's own damage explains what comes of it.
                content.finish()?;
                member?
            }
            Kind::Link => Member::Link(clean(b"", &entry.link)),
            Kind::Symlink => {
                let folder = name.iter().rposition(|&b| b == b'/').map_or(&b""[..], |slash| &name[..slash]);
                Member::Link(clean(folder, &entry.link))
            }
            _ => return Ok(()),
        };
        self.spool.members.insert(name, member);
        Ok(())
    }

    fn file(&mut self, name: &[u8], size: u64, content: &mut impl Read) -> Result<Member> {
        let mut head = Vec::with_capacity(BLOCK);
        content.by_ref().take(BLOCK as u64).read_to_end(&mut head).map_err(Error::Read)?;
        if !is_layer(&head) || self.ahead == MOST_AHEAD {
            return self.spooled(&mut head.as_slice().chain(content));
        }
        let (blob, plain) = (digest_in(name), is_tar(&head));
        let diff_id = blob.as_ref().filter(|_| plain);
        if let Some(chain) = diff_id.and_then(|diff_id| self.known.get(diff_id))
            && self.store.has_chain(chain, self.lease)?.is_some()
        {
            return Ok(Member::Layer(Box::new(Layer::Stored(chain.clone()))));
        }
        self.ahead += 1;
        let content = head.as_slice().chain(content);
        let silent = diff_id.is_none().then_some(size);
        let ahead = match diff_id {
            Some(diff_id) => {
                let counted = Counted::new(content, diff_id, size, self.progress);
                self.store.unpack_ahead(counted, blob.clone(), plain)
            }
            None => self.store.unpack_ahead(content, blob, plain),
        };
        match ahead {
            Ok(ahead) => Ok(Member::Layer(Box::new(Layer::Ahead(ahead, silent)))),
            Err(error) if is_of_layer(&error) => Ok(Member::Layer(Box::new(Layer::Damaged(error)))),
            Err(error) => Err(error),
        }
    }

    fn spooled(&mut self, content: &mut impl Read) -> Result<Member> {
        let (offset, mut buffer) = (self.end, vec![0; 64 << 10]);
        loop {
            let got = match content.read(&mut buffer).map_err(Error::Read)? {
                0 => return Ok(Member::File { offset, size: self.end - offset }),
                got => got,
            };
            let written = self.spool.file.write_all(&buffer[..got]);
            written.map_err(|source| Error::io("write", "the archive", source))?;
            self.end += got as u64;
        }
    }
}

/// The digest a member of a layout is named by.
fn digest_in(name: &[u8]) -> Option<Digest> {
    let name = std::str::from_utf8(name).ok()?.strip_prefix("blobs/")?;
    Digest::parse(&name.replacen('/', ":", 1)).ok()
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

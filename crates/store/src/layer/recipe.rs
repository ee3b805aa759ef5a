//! What rebuilds a layer's tar from its unpacked files: the tar with every file's content replaced by a reference.
//!
//! A zstd stream of records. `1`: length, bytes as they stand in the tar. `2`: length and bytes of a path, number of
//! extents, offset and length of each: content of that file. `0`: the end, with the length of the tar. Numbers are
//! LEB128. Reading hashes what it gives and compares with the layer's digest at the end, so a damaged layer is never
//! passed on as a sound one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use wharf_oci::{Digest, Hasher};

use crate::tar::Tee;
use crate::{Error, Result, Store};

const END: u8 = 0;
const LITERAL: u8 = 1;
const FILE: u8 = 2;

/// Literal bytes collected before they are written as one record.
const LITERAL_CHUNK: usize = 32 << 10;

/// Writes a recipe.
pub(crate) struct RecipeWriter {
    path: PathBuf,
    out: zstd::Encoder<'static, BufWriter<File>>,
    literal: Vec<u8>,
    length: u64,
    files: u32,
}

impl RecipeWriter {
    /// A recipe in a new file at `path`.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let error = |source| Error::io("create", path, source);
        let file = File::options().write(true).create_new(true).open(path).map_err(error)?;
        let out = zstd::Encoder::new(BufWriter::new(file), 3).map_err(error)?;
        Ok(Self { path: path.to_owned(), out, literal: Vec::new(), length: 0, files: 0 })
    }

    /// Notes that the content of the file at `path` follows, the pieces `extents` of it. Returns how many files came
    /// before.
    pub(crate) fn file(&mut self, path: &[u8], extents: &[(u64, u64)]) -> Result<u32> {
        self.flush()?;
        let mut record = vec![FILE];
        put_number(&mut record, path.len() as u64);
        record.extend_from_slice(path);
        put_number(&mut record, extents.len() as u64);
        for &(offset, length) in extents {
            put_number(&mut record, offset);
            put_number(&mut record, length);
            self.length += length;
        }
        self.write(&record)?;
        self.files += 1;
        Ok(self.files - 1)
    }

    /// Ends the recipe; returns the length of the tar in bytes.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.flush()?;
        let mut record = vec![END];
        put_number(&mut record, self.length);
        self.write(&record)?;
        let path = self.path;
        let done = self.out.finish().and_then(|mut out| out.flush());
        done.map(|()| self.length).map_err(|source| Error::io("write", path, source))
    }

    fn flush(&mut self) -> Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        let mut head = vec![LITERAL];
        put_number(&mut head, self.literal.len() as u64);
        let literal = std::mem::take(&mut self.literal);
        self.write(&head)?;
        self.write(&literal)?;
        self.literal = literal;
        self.literal.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|source| Error::io("write", &self.path, source))
    }
}

impl Tee for RecipeWriter {
    fn literal(&mut self, bytes: &[u8]) -> Result<()> {
        self.literal.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        if self.literal.len() >= LITERAL_CHUNK { self.flush() } else { Ok(()) }
    }
}

/// Writes where the contents are that a later entry of their layer replaced: number of the file, path in the layer's
/// folder.
pub(crate) fn write_moved(path: &Path, moved: &[(u32, Vec<u8>)]) -> Result<()> {
    let mut bytes = Vec::new();
    for (file, place) in moved {
        put_number(&mut bytes, u64::from(*file));
        put_number(&mut bytes, place.len() as u64);
        bytes.extend_from_slice(place);
    }
    std::fs::write(path, bytes).map_err(|source| Error::io("write", path, source))
}

fn read_moved(path: &Path) -> io::Result<HashMap<u32, Vec<u8>>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        other => other?,
    };
    let mut rest = bytes.as_slice();
    let mut moved = HashMap::new();
    while !rest.is_empty() {
        let file = u32::try_from(get_number(&mut rest)?).map_err(invalid)?;
        moved.insert(file, get_bytes(&mut rest)?);
    }
    Ok(moved)
}

/// The uncompressed tar of a layer, rebuilt bit for bit while it is read. At its end the digest is compared; if it
/// differs, the last read fails.
pub struct LayerTar {
    chain: Digest,
    diff_id: Digest,
    /// The layer's folder.
    layer: OwnedFd,
    moved: HashMap<u32, Vec<u8>>,
    recipe: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    hasher: Option<Hasher>,
    length: u64,
    files: u32,
    now: Piece,
}

enum Piece {
    /// So many bytes of the recipe.
    Literal(u64),
    /// Content of a file.
    Content {
        file: File,
        extents: std::vec::IntoIter<(u64, u64)>,
        offset: u64,
        left: u64,
    },
    /// A record comes next.
    Record,
    End,
}

impl Store {
    /// The uncompressed tar of a stored layer. Its length is [`LayerInfo::tar_size`](crate::LayerInfo::tar_size).
    pub fn layer_tar(&self, chain: &Digest) -> Result<LayerTar> {
        let info = self.0.db.read(|view| self.layer(view, chain))?;
        LayerTar::open(&self.layer_dir(chain), chain.clone(), info.diff_id)
    }
}

impl LayerTar {
    pub(crate) fn open(folder: &Path, chain: Digest, diff_id: Digest) -> Result<Self> {
        let damaged =
            |source: io::Error| Error::DamagedLayer { chain: chain.clone(), reason: source.to_string() };
        let layer =
            rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| damaged(errno.into()))?;
        let moved = read_moved(&folder.join("moved")).map_err(damaged)?;
        let recipe = File::open(folder.join("recipe")).and_then(zstd::Decoder::new).map_err(damaged)?;
        Ok(Self {
            recipe: BufReader::new(recipe),
            chain,
            diff_id,
            layer,
            moved,
            hasher: Some(Hasher::sha256()),
            length: 0,
            files: 0,
            now: Piece::Record,
        })
    }

    /// Reads to the end, which checks the layer.
    pub fn verify(mut self) -> Result<()> {
        let chain = self.chain.clone();
        let done = io::copy(&mut self, &mut io::sink());
        done.map(drop).map_err(|source| Error::DamagedLayer { chain, reason: source.to_string() })
    }

    fn record(&mut self) -> io::Result<Piece> {
        let mut kind = [0];
        self.recipe.read_exact(&mut kind)?;
        match kind[0] {
            LITERAL => Ok(Piece::Literal(get_number(&mut self.recipe)?)),
            FILE => {
                let path = get_bytes(&mut self.recipe)?;
                let count = get_number(&mut self.recipe)?;
                let mut extents = Vec::new();
                for _ in 0..count {
                    extents.push((get_number(&mut self.recipe)?, get_number(&mut self.recipe)?));
                }
                let file = self.open_file(&path)?;
                self.files += 1;
                Ok(Piece::Content { file, extents: extents.into_iter(), offset: 0, left: 0 })
            }
            END => {
                let length = get_number(&mut self.recipe)?;
                let found = self.hasher.take().map(Hasher::finish);
                if length == self.length && found.as_ref() == Some(&self.diff_id) {
                    return Ok(Piece::End);
                }
                Err(invalid(format!("layer {} is damaged: its files give another digest", self.chain)))
            }
            other => Err(invalid(format!("unknown record {other} in a recipe"))),
        }
    }

    fn open_file(&self, path: &[u8]) -> io::Result<File> {
        let (root, path) = match self.moved.get(&self.files) {
            Some(path) => (None, path.as_slice()),
            // The tree is the root for the links in it, as it was when the file was written.
            None => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                (Some(rustix::fs::openat(&self.layer, "diff", flags, Mode::empty())?), path)
            }
        };
        let file = rustix::fs::openat2(
            root.as_ref().unwrap_or(&self.layer),
            path,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        file.map(File::from)
            .map_err(|errno| invalid(format!("file {:?}: {errno}", String::from_utf8_lossy(path))))
    }
}

impl Read for LayerTar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let got = match &mut self.now {
                Piece::End => return Ok(0),
                Piece::Literal(left) => {
                    let got = (&mut self.recipe).take(*left).read(buffer)?;
                    if got == 0 && *left > 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    *left -= got as u64;
                    got
                }
                Piece::Content { file, extents, offset, left } => {
                    if *left == 0
                        && let Some((start, length)) = extents.find(|&(_, length)| length > 0)
                    {
                        (*offset, *left) = (start, length);
                    }
                    let want = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    let got = file.read_at(&mut buffer[..want], *offset)?;
                    if got == 0 && *left > 0 {
                        return Err(invalid(format!("layer {} is damaged: a file is too short", self.chain)));
                    }
                    (*offset, *left) = (*offset + got as u64, *left - got as u64);
                    got
                }
                Piece::Record => 0,
            };
            if got == 0 {
                self.now = self.record()?;
                continue;
            }
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..got]);
            }
            self.length += got as u64;
            return Ok(got);
        }
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get_number(input: &mut impl BufRead) -> io::Result<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(invalid("number too long"))
}

fn get_bytes(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let length = get_number(input)?;
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn invalid(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(get_number(&mut bytes.as_slice()).unwrap(), number);
        }
        assert!(get_number(&mut &[0x80u8; 11][..]).is_err());
    }
}

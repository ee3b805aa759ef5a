use super::header::{Header, text};
use super::pax::{self, Record, decimal};
use super::sparse::{self, Extents, MAX_EXTENTS};
use super::{BLOCK, Kind, TarError, Time};
use crate::Result;

/// Content of an extended header or long name, at most; Go's limit.
const MAX_SPECIAL: u64 = 1 << 20;

/// Where the bytes of a tar come from. A separate trait from [`BufRead`](std::io::BufRead), so that its errors keep their type.
pub(crate) trait Input {
    /// The next bytes, without taking them; none at the end.
    fn fill(&mut self) -> Result<&[u8]>;
    /// Takes `n` of them.
    fn consume(&mut self, n: usize);
}

/// An input over a plain reader.
#[cfg(test)]
pub(crate) struct Plain<R>(pub(crate) R);

#[cfg(test)]
impl<R: std::io::BufRead> Input for Plain<R> {
    fn fill(&mut self) -> Result<&[u8]> {
        self.0.fill_buf().map_err(crate::Error::Read)
    }

    fn consume(&mut self, n: usize) {
        self.0.consume(n);
    }
}

/// Gets every byte that is not content taken by [`Reader::take`], in order.
pub(crate) trait Tee {
    /// The next bytes.
    fn literal(&mut self, bytes: &[u8]) -> Result<()>;
}

impl Tee for () {
    fn literal(&mut self, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// An entry, all its headers taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Name as it stands there.
    pub(crate) name: Vec<u8>,
    /// What it is; never one of the headers, and a sparse file is a file.
    pub(crate) kind: Kind,
    /// Permission, set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Length of the file, holes included.
    pub(crate) size: u64,
    pub(crate) mtime: Time,
    /// Target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// Extended attributes.
    pub(crate) xattrs: Vec<Record>,
    /// Bytes of content in the archive.
    pub(crate) stored: u64,
    /// For a sparse file, where they belong.
    pub(crate) sparse: Option<Extents>,
}

/// A tar stream, read entry by entry.
pub(crate) struct Reader<I, T> {
    input: I,
    /// Where the other bytes go.
    pub(crate) tee: T,
    /// Bytes of the entry's content not read yet.
    left: u64,
    /// Padding after them.
    padding: u64,
}

impl<I: Input, T: Tee> Reader<I, T> {
    pub(crate) fn new(input: I, tee: T) -> Self {
        Self { input, tee, left: 0, padding: 0 }
    }

    /// The next entry; `None` at the end of the archive. Content of the last one that was not taken goes to the tee.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let (mut records, mut long_name, mut long_link) = (Vec::new(), None, None);
        loop {
            let Some((header, block)) = self.header()? else { return Ok(None) };
            match header.kind {
                Kind::Pax => records = pax::records(&self.special(&header)?)?,
                Kind::PaxGlobal => drop(self.special(&header)?),
                Kind::GnuName => long_name = Some(text(&self.special(&header)?)),
                Kind::GnuLink => long_link = Some(text(&self.special(&header)?)),
                _ => {
                    let mut entry = self.entry(header, &block, records)?;
                    entry.name = long_name.unwrap_or(entry.name);
                    entry.link = long_link.unwrap_or(entry.link);
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Takes the next `n` bytes of the entry's content, in pieces, past the tee.
    pub(crate) fn take(&mut self, n: u64, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        debug_assert!(n <= self.left);
        let mut wanted = n;
        while wanted > 0 {
            let piece = self.input.fill()?;
            if piece.is_empty() {
                return Err(TarError::UnexpectedEof.into());
            }
            let piece = &piece[..piece.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))];
            let len = piece.len();
            sink(piece)?;
            self.input.consume(len);
            wanted -= len as u64;
        }
        self.left -= n;
        Ok(())
    }

    /// Takes content of the entry, past the tee, into `buffer`; 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let piece = self.input.fill()?;
        if piece.is_empty() {
            return Err(TarError::UnexpectedEof.into());
        }
        let len = piece.len().min(wanted);
        buffer[..len].copy_from_slice(&piece[..len]);
        self.input.consume(len);
        self.left -= len as u64;
        Ok(len)
    }

    /// Reads what follows the end of the archive and gives the tee back.
    pub(crate) fn finish(mut self) -> Result<T> {
        loop {
            let piece = self.input.fill()?;
            if piece.is_empty() {
                return Ok(self.tee);
            }
            self.tee.literal(piece)?;
            let len = piece.len();
            self.input.consume(len);
        }
    }

    /// The next header that is not the end of the archive.
    fn header(&mut self) -> Result<Option<(Header, [u8; BLOCK])>> {
        self.skip_rest()?;
        let Some(block) = self.block()? else { return Ok(None) };
        if let Some(header) = Header::parse(&block)? {
            (self.left, self.padding) = extent(header.size);
            return Ok(Some((header, block)));
        }
        // Two blocks of zeros end an archive; the second may be missing, something else may not stand there.
        match self.block()? {
            Some(block) if block.iter().any(|&b| b != 0) => Err(TarError::Header.into()),
            _ => Ok(None),
        }
    }

    /// Passes the rest of the content and the padding to the tee. Go accepts a stream that ends in the padding.
    fn skip_rest(&mut self) -> Result<()> {
        if self.pass(self.left)? > 0 {
            return Err(TarError::UnexpectedEof.into());
        }
        self.pass(self.padding)?;
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    /// Passes `n` bytes to the tee; returns how many the stream lacked.
    fn pass(&mut self, mut n: u64) -> Result<u64> {
        while n > 0 {
            let piece = self.input.fill()?;
            if piece.is_empty() {
                break;
            }
            let piece = &piece[..piece.len().min(usize::try_from(n).unwrap_or(usize::MAX))];
            let len = piece.len();
            self.tee.literal(piece)?;
            self.input.consume(len);
            n -= len as u64;
        }
        Ok(n)
    }

    /// Reads a block, which also goes to the tee; `None` at the end of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            let piece = self.input.fill()?;
            if piece.is_empty() {
                return if have == 0 { Ok(None) } else { Err(TarError::UnexpectedEof.into()) };
            }
            let len = piece.len().min(BLOCK - have);
            block[have..have + len].copy_from_slice(&piece[..len]);
            have += len;
            self.input.consume(len);
        }
        self.tee.literal(&block)?;
        Ok(Some(block))
    }

    /// The content of an extended header.
    fn special(&mut self, header: &Header) -> Result<Vec<u8>> {
        if header.size > MAX_SPECIAL {
            return Err(TarError::FieldTooLong.into());
        }
        let mut content = Vec::with_capacity(header.size as usize);
        self.take(header.size, |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        self.tee.literal(&content)?;
        Ok(content)
    }

    fn entry(&mut self, header: Header, block: &[u8; BLOCK], records: Vec<Record>) -> Result<Entry> {
        let mut entry = Entry {
            name: header.name,
            kind: header.kind,
            mode: header.mode,
            uid: header.uid,
            gid: header.gid,
            size: header.size,
            mtime: Time { sec: header.mtime, nsec: 0 },
            link: header.link,
            major: header.major,
            minor: header.minor,
            xattrs: Vec::new(),
            stored: 0,
            sparse: None,
        };
        let mut sparse = Sparse::default();
        for (key, value) in &records {
            apply(&mut entry, &mut sparse, key, value)?;
        }
        if !entry.kind.has_payload() {
            entry.size = 0;
        }
        // An extended header may have given the true size.
        (self.left, self.padding) = extent(entry.size);
        self.sparse_map(&mut entry, block, &records, sparse)?;
        entry.stored = self.left;
        if let Some(map) = &entry.sparse {
            sparse::validate(map, entry.size, entry.stored)?;
        }
        Ok(entry)
    }

    /// Finds out whether the entry is sparse, in any of the four ways to say so, and reads its map.
    fn sparse_map(
        &mut self,
        entry: &mut Entry,
        block: &[u8; BLOCK],
        records: &[Record],
        sparse: Sparse,
    ) -> Result<()> {
        let map = if entry.kind == Kind::GnuSparse {
            entry.size =
                u64::try_from(super::header::number(&block[483..495])?).map_err(|_| TarError::Header)?;
            Some(self.gnu_map(block)?)
        } else if entry.kind == Kind::File && sparse.version == (Some(1), Some(0)) {
            Some(self.map_in_content()?)
        } else if entry.kind == Kind::File {
            sparse::pax_map(records)?
        } else {
            None
        };
        if map.is_some() {
            entry.kind = Kind::File;
            entry.sparse = map;
            entry.name = sparse.name.unwrap_or(std::mem::take(&mut entry.name));
            entry.size = sparse.size.unwrap_or(entry.size);
        }
        Ok(())
    }

    /// The map of the old GNU format: four entries in the header, then blocks of 21.
    fn gnu_map(&mut self, header: &[u8; BLOCK]) -> Result<Extents> {
        let mut map = Vec::new();
        sparse::gnu_entries(header, 386, 4, &mut map)?;
        let mut extended = header[482] != 0;
        while extended {
            let block = self.block()?.ok_or(TarError::UnexpectedEof)?;
            sparse::gnu_entries(&block, 0, 21, &mut map)?;
            extended = block[504] != 0;
        }
        Ok(map)
    }

    /// The map of pax format 1.0: lines of decimal numbers at the start of the content, padded to whole blocks.
    fn map_in_content(&mut self) -> Result<Extents> {
        let mut digits = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        let mut wanted = 1;
        while numbers.len() < wanted {
            let mut block = Vec::with_capacity(BLOCK);
            if self.left < BLOCK as u64 {
                return Err(TarError::Header.into());
            }
            self.take(BLOCK as u64, |piece| {
                block.extend_from_slice(piece);
                Ok(())
            })?;
            self.tee.literal(&block)?;
            for byte in block {
                if numbers.len() == wanted {
                    break;
                }
                if byte != b'\n' {
                    digits.push(byte);
                    continue;
                }
                numbers.push(decimal(&digits).ok_or(TarError::Header)?);
                digits.clear();
                if numbers.len() == 1 {
                    let count = usize::try_from(numbers[0]).ok().filter(|&n| n <= MAX_EXTENTS);
                    wanted = 1 + 2 * count.ok_or(TarError::FieldTooLong)?;
                }
            }
        }
        Ok(numbers[1..].chunks(2).map(|pair| (pair[0], pair[1])).collect())
    }
}

/// What extended headers say about a sparse file.
#[derive(Default)]
struct Sparse {
    version: (Option<u32>, Option<u32>),
    name: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Content and padding of an entry of `size` stored bytes.
fn extent(size: u64) -> (u64, u64) {
    (size, size.wrapping_neg() % BLOCK as u64)
}

/// Applies one record of an extended header. An empty value takes an earlier one back, which means the plain header's.
fn apply(entry: &mut Entry, sparse: &mut Sparse, key: &[u8], value: &[u8]) -> Result<(), TarError> {
    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
        entry.xattrs.retain(|(known, _)| known != name);
        entry.xattrs.push((name.to_vec(), value.to_vec()));
        return Ok(());
    }
    if value.is_empty() {
        return Ok(());
    }
    let number = || decimal(value).ok_or(TarError::Header);
    match key {
        b"path" => entry.name = value.to_vec(),
        b"linkpath" => entry.link = value.to_vec(),
        b"size" => entry.size = number()?,
        b"uid" => entry.uid = number()?,
        b"gid" => entry.gid = number()?,
        b"mtime" => entry.mtime = pax::time(value)?,
        b"GNU.sparse.major" => sparse.version.0 = decimal(value),
        b"GNU.sparse.minor" => sparse.version.1 = decimal(value),
        b"GNU.sparse.name" => sparse.name = Some(value.to_vec()),
        b"GNU.sparse.size" | b"GNU.sparse.realsize" => sparse.size = Some(number()?),
        _ => {}
    }
    Ok(())
}

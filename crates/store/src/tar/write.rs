use std::io::{Read, Write};

use super::{BLOCK, Entry, Kind, Time};
use crate::{Error, Result};

/// Writes a tar: ustar headers, with pax extended headers where a field does not fit, as Go writes them for Docker.
pub(crate) struct Writer<W> {
    out: W,
}

impl Entry {
    /// An entry that belongs to root, without content.
    pub(crate) fn new(name: impl Into<Vec<u8>>, kind: Kind, mode: u32, mtime: Time) -> Self {
        Self {
            name: name.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime,
            link: Vec::new(),
            major: 0,
            minor: 0,
            xattrs: Vec::new(),
            stored: 0,
            sparse: None,
        }
    }
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes an entry and `size` bytes of content. A content that turns out shorter (a file that shrinks while it is
    /// read) is filled up with zeros, so that the archive stays sound.
    pub(crate) fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        self.header(entry)?;
        let mut buffer = vec![0; 128 << 10];
        let mut left = entry.size;
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = match content.read(&mut buffer[..want]) {
                Ok(got) => got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Read(error)),
            };
            if got == 0 {
                buffer[..want].fill(0);
            }
            let piece = if got == 0 { want } else { got };
            self.write(&buffer[..piece])?;
            left -= piece as u64;
        }
        self.padding(entry)
    }

    /// Writes what follows the content of an entry.
    pub(crate) fn padding(&mut self, entry: &Entry) -> Result<()> {
        let padding = entry.size.wrapping_neg() % BLOCK as u64;
        self.write(&[0; BLOCK][..padding as usize])
    }

    /// What is written to.
    pub(crate) fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes an entry whose content is at hand; sets its size.
    #[cfg(test)]
    pub(crate) fn append_bytes(&mut self, mut entry: Entry, content: &[u8]) -> Result<()> {
        entry.size = content.len() as u64;
        self.append(&entry, &mut &*content)
    }

    /// Ends the archive and gives the output back.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.write(&[0; 2 * BLOCK])?;
        self.out.flush().map_err(Error::Write)?;
        Ok(self.out)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::Write)
    }

    /// Writes what precedes the content of an entry.
    pub(crate) fn header(&mut self, entry: &Entry) -> Result<()> {
        let (block, records) = encode(entry);
        if !records.is_empty() {
            let mut extended = Entry::new(&b"PaxHeaders.0/entry"[..], Kind::Pax, 0, Time::default());
            extended.size = records.len() as u64;
            let (head, _) = encode(&extended);
            self.write(&head)?;
            self.write(&records)?;
            self.write(&[0; BLOCK][..records.len().wrapping_neg() % BLOCK])?;
        }
        self.write(&block)
    }
}

/// The header block of an entry and the extended header's records that must precede it.
fn encode(entry: &Entry) -> ([u8; BLOCK], Vec<u8>) {
    let mut block = [0; BLOCK];
    let mut records = Vec::new();
    if !place_name(&mut block, &entry.name) {
        record(&mut records, b"path", &entry.name);
    }
    if !place(&mut block[157..257], &entry.link) {
        record(&mut records, b"linkpath", &entry.link);
    }
    octal(&mut block[100..108], u64::from(entry.mode));
    for (from, len, key, value) in
        [(108, 8, "uid", entry.uid), (116, 8, "gid", entry.gid), (124, 12, "size", entry.size)]
    {
        if !octal(&mut block[from..from + len], value) {
            record(&mut records, key.as_bytes(), value.to_string().as_bytes());
        }
    }
    // Whole seconds, as Docker writes layers.
    if !u64::try_from(entry.mtime.sec).is_ok_and(|sec| octal(&mut block[136..148], sec)) {
        octal(&mut block[136..148], 0);
        record(&mut records, b"mtime", entry.mtime.sec.to_string().as_bytes());
    }
    for (name, value) in &entry.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    block[156] = flag(entry.kind);
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], u64::from(entry.major));
    octal(&mut block[337..345], u64::from(entry.minor));
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
    octal(&mut block[148..155], sum);
    (block, records)
}

fn flag(kind: Kind) -> u8 {
    match kind {
        Kind::File | Kind::GnuSparse => b'0',
        Kind::Link => b'1',
        Kind::Symlink => b'2',
        Kind::Char => b'3',
        Kind::Block => b'4',
        Kind::Dir => b'5',
        Kind::Fifo => b'6',
        Kind::Pax => b'x',
        Kind::PaxGlobal => b'g',
        Kind::GnuName => b'L',
        Kind::GnuLink => b'K',
        Kind::Other(flag) => flag,
    }
}

/// Puts a name into the name field, with the prefix field where that makes it fit.
fn place_name(block: &mut [u8; BLOCK], name: &[u8]) -> bool {
    // The slash between the two fields is not stored, and neither side may be empty.
    let last = name.len() - usize::from(name.ends_with(b"/"));
    let split = (1..last).filter(|&at| name[at] == b'/').find(|&at| name.len() - at - 1 <= 100);
    match split {
        Some(at) if name.len() > 100 && at <= 155 => {
            place(&mut block[..100], &name[at + 1..]) && place(&mut block[345..500], &name[..at])
        }
        _ => place(&mut block[..100], name),
    }
}

fn place(field: &mut [u8], bytes: &[u8]) -> bool {
    let fits = bytes.len() <= field.len();
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
    fits
}

/// Writes octal digits and a NUL; leaves zero if the number does not fit.
fn octal(field: &mut [u8], value: u64) -> bool {
    let digits = field.len() - 1;
    let fits = value < 1 << (3 * digits).min(63);
    let text = format!("{:0digits$o}", if fits { value } else { 0 });
    field[..digits].copy_from_slice(text.as_bytes());
    field[digits] = 0;
    fits
}

/// Appends a record, whose length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::Reader;
    use super::super::reader::Plain;
    use super::*;

    fn round_trip(entry: &Entry, content: &[u8]) -> (Entry, Vec<u8>) {
        let mut writer = Writer::new(Vec::new());
        writer.append_bytes(entry.clone(), content).unwrap();
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(Plain(bytes.as_slice()), ());
        let read = reader.next().unwrap().unwrap();
        let mut got = Vec::new();
        reader
            .take(read.stored, |piece| {
                got.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert_eq!(reader.next().unwrap(), None);
        (read, got)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-z/é]{1,300}", link in "[a-z]{0,200}", uid in any::<u32>(), gid in any::<u32>(),
            mode in 0u32..0o10000, sec in -10i64..i64::from(u32::MAX) * 4,
            xattrs in proptest::collection::btree_map("user\\.[a-z]{1,9}", proptest::collection::vec(any::<u8>(), 0..2000), 0..3),
            content in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let mut entry = Entry::new(name.into_bytes(), Kind::File, mode, Time { sec, nsec: 0 });
            (entry.uid, entry.gid, entry.link) = (uid.into(), gid.into(), link.into_bytes());
            entry.xattrs = xattrs.into_iter().map(|(k, v)| (k.into_bytes(), v)).collect();
            let (read, got) = round_trip(&entry, &content);
            (entry.size, entry.stored) = (content.len() as u64, content.len() as u64);
            prop_assert_eq!(read, entry);
            prop_assert_eq!(got, content);
        }
    }

    #[test]
    fn short_content_is_filled_up() {
        let mut entry = Entry::new(&b"f"[..], Kind::File, 0o644, Time::default());
        entry.size = 1000;
        let mut writer = Writer::new(Vec::new());
        writer.append(&entry, &mut &b"abc"[..]).unwrap();
        assert_eq!(writer.finish().unwrap().len(), 512 + 1024 + 1024);
    }
}

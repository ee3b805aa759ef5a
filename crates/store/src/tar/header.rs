use super::TarError;

/// Everything in a tar is a multiple of this.
pub(crate) const BLOCK: usize = 512;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Time {
    /// Seconds since 1970; before it negative.
    pub(crate) sec: i64,
    /// Nanoseconds to add, below 10⁹.
    pub(crate) nsec: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Link,
    Symlink,
    Char,
    Block,
    Dir,
    Fifo,
    /// A GNU sparse file; its map follows.
    GnuSparse,
    /// Extended header of the next entry.
    Pax,
    /// Extended header of all entries; Docker ignores it.
    PaxGlobal,
    /// The next entry's name.
    GnuName,
    /// The next entry's link target.
    GnuLink,
    /// Anything else.
    Other(u8),
}

/// A header block, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) link: Vec<u8>,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

impl Header {
    /// Decodes a block; `None` for one of zeros, which ends an archive.
    pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Option<Self>, TarError> {
        let number = |from: usize, len: usize| number(&block[from..from + len]);
        let positive = |from, len| u64::try_from(number(from, len)?).map_err(|_| TarError::Header);
        if !checksum_holds(block)? {
            return if block.iter().all(|&b| b == 0) { Ok(None) } else { Err(TarError::Header) };
        }
        let format = format(block);
        let mut name = text(&block[..100]);
        let (mut major, mut minor) = (0, 0);
        if format != Format::V7 {
            // Fields of entries that are no devices may hold anything.
            major = number(329, 8).ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            minor = number(337, 8).ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        }
        let prefix = match format {
            Format::Ustar => text(&block[345..500]),
            Format::Star => text(&block[345..476]),
            Format::V7 | Format::Gnu => Vec::new(),
        };
        if !prefix.is_empty() {
            name = [prefix.as_slice(), b"/", &name].concat();
        }
        let kind = kind(block[156], name.ends_with(b"/"));
        Ok(Some(Self {
            name,
            kind,
            // Truncation is meant: the file type bits are not taken from here.
            mode: (number(100, 8)? & 0o7777) as u32,
            // Negative ids exist (-2 is somebody's nobody); the kernel takes them modulo 2³².
            uid: number(108, 8)?.cast_unsigned(),
            gid: number(116, 8)?.cast_unsigned(),
            size: if kind.has_payload() { positive(124, 12)? } else { 0 },
            mtime: number(136, 12)?,
            link: text(&block[157..257]),
            major,
            minor,
        }))
    }
}

impl Kind {
    /// Whether content follows the header; in headers of the others the size means nothing.
    pub(crate) fn has_payload(self) -> bool {
        !matches!(self, Self::Link | Self::Symlink | Self::Char | Self::Block | Self::Dir | Self::Fifo)
    }
}

fn kind(flag: u8, is_folder_name: bool) -> Kind {
    match flag {
        0 if is_folder_name => Kind::Dir,
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::Link,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' => Kind::Dir,
        b'6' => Kind::Fifo,
        b'S' => Kind::GnuSparse,
        b'x' => Kind::Pax,
        b'g' => Kind::PaxGlobal,
        b'L' => Kind::GnuName,
        b'K' => Kind::GnuLink,
        other => Kind::Other(other),
    }
}

fn format(block: &[u8; BLOCK]) -> Format {
    match (&block[257..263], &block[263..265]) {
        (b"ustar\0", _) if &block[508..] == b"tar\0" => Format::Star,
        (b"ustar\0", _) => Format::Ustar,
        (b"ustar ", b" \0") => Format::Gnu,
        _ => Format::V7,
    }
}

/// The sum of all bytes, those of the checksum itself as blanks. Old programs summed them as signed.
fn checksum_holds(block: &[u8; BLOCK]) -> Result<bool, TarError> {
    let Ok(stated) = octal(&block[148..156]) else { return Ok(false) };
    let bytes = || block.iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { b' ' } else { b });
    let unsigned: i64 = bytes().map(i64::from).sum();
    let signed: i64 = bytes().map(|b| i64::from(b.cast_signed())).sum();
    Ok(stated == unsigned || stated == signed)
}

/// Up to the first NUL.
pub(crate) fn text(field: &[u8]) -> Vec<u8> {
    field.split(|&b| b == 0).next().unwrap_or_default().to_vec()
}

/// A number: octal text, or big-endian binary if the first bit is set.
pub(crate) fn number(field: &[u8]) -> Result<i64, TarError> {
    let Some(&first) = field.first() else { return Ok(0) };
    if first & 0x80 == 0 {
        return octal(field);
    }
    // The second bit is the sign; the complement keeps the overflow test the same for both.
    let inverse = if first & 0x40 != 0 { 0xff } else { 0 };
    let mut value: u64 = 0;
    for (at, &byte) in field.iter().enumerate() {
        let mut byte = byte ^ inverse;
        if at == 0 {
            byte &= 0x7f;
        }
        if value >> 56 != 0 {
            return Err(TarError::Header);
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).map_err(|_| TarError::Header)?;
    Ok(if inverse != 0 { !value } else { value })
}

fn octal(field: &[u8]) -> Result<i64, TarError> {
    let is_filler = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !is_filler(b)).unwrap_or(field.len());
    let end = field.iter().rposition(|b| !is_filler(b)).map_or(start, |last| last + 1);
    let digits = text(&field[start..end]);
    let mut value: i64 = 0;
    for digit in digits {
        if !(b'0'..=b'7').contains(&digit) || value >> 60 != 0 {
            return Err(TarError::Header);
        }
        value = value << 3 | i64::from(digit - b'0');
    }
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_both_forms() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b" 644 \0  ", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"77777777777\0", 0o77777777777),
            (b"\x80\0\0\0\0\0\x01\x00", 256),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
            (b"\xff\xff\xff\xff\xff\xff\xfe\x00", -512),
            (b"\x80\0\0\0\x10\0\0\0\0\0\0\0", 0x1000_0000_0000_0000),
        ] {
            assert_eq!(number(field), Ok(value), "{field:x?}");
        }
        for field in [&b"0000648\0"[..], b"abc", b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(number(field), Err(TarError::Header), "{field:x?}");
        }
    }

    #[test]
    fn a_block_is_zero_or_sums_up() {
        assert_eq!(Header::parse(&[0; BLOCK]), Ok(None));
        assert_eq!(Header::parse(&[7; BLOCK]), Err(TarError::Header));
        let mut header = tar::Header::new_gnu();
        header.set_path("some/name").unwrap();
        header.set_mode(0o104755);
        header.set_uid(3_000_000);
        header.set_size(5);
        header.set_mtime(99);
        header.set_cksum();
        let mut block: [u8; BLOCK] = header.as_bytes()[..].try_into().unwrap();
        let parsed = Header::parse(&block).unwrap().unwrap();
        assert_eq!(
            (parsed.name.as_slice(), parsed.mode, parsed.uid, parsed.size, parsed.mtime, parsed.kind),
            (&b"some/name"[..], 0o4755, 3_000_000, 5, 99, Kind::File)
        );
        block[0] ^= 1;
        assert_eq!(Header::parse(&block), Err(TarError::Header));
    }
}

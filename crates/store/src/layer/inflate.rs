//! Decompression by what the stream itself says; media types are not believed.

use std::io::{self, BufRead, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

use crate::{Error, Result};

/// A stream, decompressed if it was compressed.
pub(crate) enum Inflate<R: BufRead> {
    /// Not compressed, or with something unknown that only looks like data.
    Plain(Prefixed<R>),
    /// gzip, any number of members.
    Gzip(Box<MultiGzDecoder<Prefixed<R>>>),
    /// zstd, any number of frames.
    Zstd(zstd::Decoder<'static, Prefixed<R>>),
    /// bzip2, any number of streams.
    Bzip2(Box<MultiBzDecoder<Prefixed<R>>>),
    /// xz, any number of streams.
    Xz(Box<XzReader<Prefixed<R>>>),
}

/// The bytes read to recognise a stream, and the rest of it.
pub(crate) struct Prefixed<R> {
    prefix: Cursor<Vec<u8>>,
    rest: R,
    failed: bool,
}

const PREFIX: usize = 6;
/// KiB that unpacking xz may use: four times what its highest preset asks for.
const XZ_MEMORY: u32 = 256 << 10;

impl<R: BufRead> Inflate<R> {
    /// Recognises gzip, zstd, bzip2, xz and plain data.
    pub(crate) fn new(mut rest: R) -> Result<Self> {
        let mut prefix = Vec::new();
        (&mut rest).take(PREFIX as u64).read_to_end(&mut prefix).map_err(Error::Read)?;
        let format = recognise(&prefix);
        let stream = Prefixed { prefix: Cursor::new(prefix), rest, failed: false };
        match format {
            Format::Plain => Ok(Self::Plain(stream)),
            Format::Gzip => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(stream)))),
            Format::Zstd => zstd::Decoder::with_buffer(stream).map(Self::Zstd).map_err(Error::Read),
            Format::Bzip2 => Ok(Self::Bzip2(Box::new(MultiBzDecoder::new(stream)))),
            Format::Xz => Ok(Self::Xz(Box::new(XzReader::new_mem_limit(stream, true, XZ_MEMORY)))),
        }
    }

    /// Reads decompressed bytes, 0 at the end. Damage and a failing stream are told apart.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let (format, result, stream) = match self {
                Self::Plain(stream) => ("tar", stream.read(buffer), &*stream),
                Self::Gzip(stream) => ("gzip", stream.read(buffer), stream.get_ref()),
                Self::Zstd(stream) => ("zstd", stream.read(buffer), stream.get_ref()),
                Self::Bzip2(stream) => ("bzip2", stream.read(buffer), stream.get_ref()),
                Self::Xz(stream) => ("xz", stream.read(buffer), stream.inner()),
            };
            match result {
                Ok(got) => return Ok(got),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(describe(format, stream.failed, source)),
            }
        }
    }

    /// The stream beneath.
    pub(crate) fn get_ref(&self) -> &R {
        match self {
            Self::Plain(stream) => &stream.rest,
            Self::Gzip(stream) => &stream.get_ref().rest,
            Self::Zstd(stream) => &stream.get_ref().rest,
            Self::Bzip2(stream) => &stream.get_ref().rest,
            Self::Xz(stream) => &stream.inner().rest,
        }
    }
}

/// The stream's own errors stay what they are; the others are damage.
fn describe(format: &'static str, failed: bool, source: io::Error) -> Error {
    match source.kind() {
        _ if failed => Error::Read(source),
        io::ErrorKind::UnexpectedEof => crate::TarError::UnexpectedEof.into(),
        _ => Error::Inflate { format, source },
    }
}

enum Format {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// Whether something that begins so is compressed in a way that is known here.
pub(crate) fn is_compressed(prefix: &[u8]) -> bool {
    !matches!(recognise(prefix), Format::Plain)
}

fn recognise(prefix: &[u8]) -> Format {
    match prefix {
        [0x1f, 0x8b, 8, ..] => Format::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A'] => Format::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Format::Xz,
        _ => Format::Plain,
    }
}

impl<R: BufRead> Read for Prefixed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece = self.fill_buf()?;
        let got = piece.read(buffer)?;
        self.consume(got);
        Ok(got)
    }
}

impl<R: BufRead> BufRead for Prefixed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.prefix.position() < self.prefix.get_ref().len() as u64 {
            return self.prefix.fill_buf();
        }
        let result = self.rest.fill_buf();
        if let Err(error) = &result {
            self.failed = error.kind() != io::ErrorKind::Interrupted;
        }
        result
    }

    fn consume(&mut self, n: usize) {
        if self.prefix.position() < self.prefix.get_ref().len() as u64 {
            self.prefix.consume(n);
        } else {
            self.rest.consume(n);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read_all(data: &[u8]) -> Result<Vec<u8>> {
        let mut stream = Inflate::new(data)?;
        let (mut all, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(all),
                got => all.extend_from_slice(&buffer[..got]),
            }
        }
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::encode_all(data, 1).unwrap()
    }

    fn bzip2(data: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(data: &[u8]) -> Vec<u8> {
        let options = lzma_rust2::XzOptions::with_preset(1);
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn formats_are_recognised_also_in_several_parts() {
        assert_eq!(read_all(b"").unwrap(), b"");
        assert_eq!(read_all(b"abc").unwrap(), b"abc");
        assert_eq!(read_all(b"plain data of some length").unwrap(), b"plain data of some length");
        for pack in [gzip, zstd, bzip2, xz] {
            assert_eq!(read_all(&[pack(b"one "), pack(b"two")].concat()).unwrap(), b"one two");
        }
    }

    #[test]
    fn truncation_and_damage_are_errors() {
        let data: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for packed in [gzip(&data), zstd(&data), bzip2(&data), xz(&data)] {
            let cut = read_all(&packed[..packed.len() - 9]).unwrap_err();
            assert_eq!(cut.to_string(), "unexpected EOF");
            let mut damaged = packed.clone();
            for byte in &mut damaged[1000..1040] {
                *byte ^= 0xff;
            }
            let error = read_all(&damaged).unwrap_err();
            assert!(matches!(error, Error::Inflate { .. } | Error::Tar(_)), "{error:?}");
        }
    }
}

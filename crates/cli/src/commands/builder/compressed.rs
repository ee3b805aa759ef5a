//! Contexts that come compressed.

use std::io::{self, BufReader, Read};

use lzma_rust2::XzReader;

/// KiB that unpacking xz may use: four times what its highest preset asks for.
const XZ_MEMORY: u32 = 256 << 10;

/// A stream decompressed, if its head is that of gzip, bzip2, xz or zstd.
///
/// # Errors
/// The decompressor cannot be set up.
pub(super) fn open<'a>(head: &[u8], stream: impl Read + 'a) -> io::Result<Option<Box<dyn Read + 'a>>> {
    let stream = BufReader::new(stream);
    Ok(match head {
        [0x1f, 0x8b, ..] => Some(Box::new(flate2::bufread::MultiGzDecoder::new(stream))),
        [b'B', b'Z', b'h', ..] => Some(Box::new(bzip2::bufread::MultiBzDecoder::new(stream))),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Some(Box::new(XzReader::new_mem_limit(stream, true, XZ_MEMORY)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Box::new(zstd::Decoder::with_buffer(stream)?)),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn all_formats() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"content").unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(b"content").unwrap();
        let zstd = zstd::encode_all(&b"content"[..], 1).unwrap();
        for packed in [gzip.finish().unwrap(), bzip2.finish().unwrap(), zstd] {
            let mut text = String::new();
            open(&packed, &*packed).unwrap().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "content");
        }
        assert!(open(b"FROM x", &b""[..]).unwrap().is_none());
    }
}

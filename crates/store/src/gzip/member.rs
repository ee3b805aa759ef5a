//! A block as gzip members: what can be compressed by libdeflate, the rest as it is.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

/// libdeflate's fastest level compresses better than zlib's level 3 in half the time.
const LEVEL: i32 = 1;
/// Every part of a block of so many bytes is compressed or stored by itself.
const PART: usize = 64 << 10;
/// Samples of a part by which it is judged, and bytes of each.
const SAMPLES: usize = 16;
const SAMPLE: usize = 256;
/// RFC 1952, section 2.3: deflate, no flags, no time, the fastest level, from Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];
/// RFC 1951, section 3.2.4: longest stored block.
const STORED: usize = u16::MAX as usize;

/// Makes members of blocks, one after the other.
pub(super) struct Encoder(Compressor);

impl Encoder {
    /// # Errors
    /// There is no memory.
    pub(super) fn new() -> io::Result<Encoder> {
        let level = CompressionLvl::new(LEVEL).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Encoder(Compressor::new(level)))
    }

    /// A block as one member or several. The same block always gives the same bytes.
    ///
    /// # Errors
    /// None that is known: there is room for whatever a block may become.
    pub(super) fn encode(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(block.len() / 2);
        if block.is_empty() {
            self.compressed(block, &mut out)?;
        }
        let mut rest = block;
        while !rest.is_empty() {
            let dense = is_dense(&rest[..PART.min(rest.len())]);
            let alike = rest.chunks(PART).take_while(|part| is_dense(part) == dense).map(<[u8]>::len).sum();
            let (run, after) = rest.split_at(alike);
            match dense {
                true => stored(run, &mut out),
                false => self.compressed(run, &mut out)?,
            }
            rest = after;
        }
        Ok(out)
    }

    fn compressed(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        out.resize(start + self.0.gzip_compress_bound(data.len()), 0);
        let made = self.0.gzip_compress(data, &mut out[start..]).map_err(io::Error::other)?;
        out.truncate(start + made);
        Ok(())
    }
}

/// Whether a part looks like compressed or encrypted data, which compressing again would hardly make smaller: in a
/// sample of it all bytes are about equally frequent.
///
/// Two bytes of such data are equal once in 256 times. Where that happens no more than a tenth more often, the
/// frequencies of bytes are worth less than 2 %. What a repetition of dense data would save is not seen.
fn is_dense(part: &[u8]) -> bool {
    if part.len() < SAMPLES * SAMPLE {
        return false;
    }
    let mut counts = [0u64; 256];
    for at in 0..SAMPLES {
        let from = at * (part.len() - SAMPLE) / (SAMPLES - 1);
        part[from..from + SAMPLE].iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    }
    let total = (SAMPLES * SAMPLE) as u64;
    let pairs: u64 = counts.iter().map(|count| count * count.saturating_sub(1)).sum();
    pairs * 2560 < total * (total - 1) * 11
}

/// A member that holds the data as it is.
fn stored(data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() + HEADER.len() + 8 + 5 * (data.len() / STORED + 1));
    out.extend_from_slice(&HEADER);
    let mut blocks = data.chunks(STORED).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&libdeflater::crc32(data).to_le_bytes());
    // RFC 1952: the length modulo 2^32.
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    /// Bytes that cannot be compressed.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(next).collect()
    }

    fn round_trip(data: &[u8]) -> usize {
        let packed = Encoder::new().unwrap().encode(data).unwrap();
        assert!(packed == Encoder::new().unwrap().encode(data).unwrap());
        let mut back = Vec::new();
        MultiGzDecoder::new(&*packed).read_to_end(&mut back).unwrap();
        assert!(back == data);
        packed.len()
    }

    #[test]
    fn dense_parts_are_stored_and_others_compressed() {
        let text = b"to be or not to be, that is the question. ".repeat(2 * PART / 42);
        assert!(round_trip(&text) < text.len() / 20);
        let noise = noise(3 * PART + 7);
        let size = round_trip(&noise);
        assert!((noise.len()..noise.len() + 100).contains(&size), "{size}");
        let both = [&text[..PART], &noise, &text].concat();
        assert!((noise.len()..noise.len() + 6000).contains(&round_trip(&both)));
    }

    #[test]
    fn a_few_letters_in_disorder_are_not_dense() {
        let letters: Vec<u8> = noise(PART).into_iter().map(|byte| b'a' + byte % 26).collect();
        assert!(!is_dense(&letters));
        assert!(round_trip(&letters) < PART * 2 / 3);
    }

    #[test]
    fn any_length() {
        let noise = noise(2 * PART + STORED);
        for length in [0, 1, SAMPLES * SAMPLE, STORED, STORED + 1, PART, PART + 1, noise.len()] {
            round_trip(&noise[..length]);
        }
    }
}

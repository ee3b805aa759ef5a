use std::io::{BufReader, Read};

use wharf_oci::Digest;

use super::load::{LoadProgress, Report};
use crate::layer::Inflate;
use crate::tar::{Input, Reader};
use crate::{Error, Result};

const BUFFER: usize = 256 << 10;

/// An archive that comes in, decompressed if it was compressed.
pub(crate) struct Stream<R: Read> {
    inflate: Inflate<BufReader<R>>,
    buffer: Box<[u8]>,
    /// The part of the buffer that was not taken yet.
    at: usize,
    end: usize,
    total: u64,
    limit: u64,
}

impl<R: Read> Stream<R> {
    /// A stream of at most `limit` uncompressed bytes.
    pub(crate) fn new(reader: R, limit: u64) -> Result<Self> {
        let inflate = Inflate::new(BufReader::with_capacity(128 << 10, reader))?;
        Ok(Self { inflate, buffer: vec![0; BUFFER].into(), at: 0, end: 0, total: 0, limit })
    }
}

impl<R: Read> Input for Stream<R> {
    fn fill(&mut self) -> Result<&[u8]> {
        if self.at == self.end {
            (self.at, self.end) = (0, self.inflate.read(&mut self.buffer)?);
            self.total += self.end as u64;
            if self.total > self.limit {
                return Err(Error::Limit { what: "bytes uncompressed", limit: self.limit });
            }
        }
        Ok(&self.buffer[self.at..self.end])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

/// The content of the entry at which an archive stands.
pub(crate) struct Content<'a, I> {
    reader: &'a mut Reader<I, ()>,
    failed: Option<Error>,
}

impl<'a, I: Input> Content<'a, I> {
    pub(crate) fn new(reader: &'a mut Reader<I, ()>) -> Self {
        Self { reader, failed: None }
    }

    /// Tells how the archive failed, if it did while this was read.
    pub(crate) fn finish(self) -> Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}

impl<I: Input> Read for Content<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let told = std::io::Error::other(error.to_string());
            self.failed = Some(error);
            told
        })
    }
}

/// Reports how much of a layer was read.
pub(crate) struct Counted<'a, R> {
    content: R,
    layer: &'a Digest,
    current: u64,
    total: u64,
    progress: Report<'a>,
}

impl<'a, R: Read> Counted<'a, R> {
    pub(crate) fn new(content: R, layer: &'a Digest, total: u64, progress: Report<'a>) -> Self {
        Self { content, layer, current: 0, total, progress }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.content.read(buffer)?;
        self.current += got as u64;
        (self.progress)(LoadProgress { layer: self.layer, current: self.current, total: self.total });
        Ok(got)
    }
}

//! From a compressed stream to a stored layer.
//!
//! The calling thread reads, hashes and inflates; a second one unpacks. A bounded channel of buffers is between them, so
//! memory stays small and the slower side sets the pace.

use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use wharf_oci::{Algorithm, Digest, Hasher};

use super::inflate::Inflate;
use super::record::{LAYERS, LayerRecord};
use super::unpack::{Unpacked, unpack};
use super::{LayerInfo, LayerSource, Lease, Limits};
use crate::sweep::boot_id;
use crate::tar::Input;
use crate::trash::{random_name, remove_tree};
use crate::{Error, Result, Store};

/// Size of a buffer, and how many are filled ahead.
const BUFFER: usize = 256 << 10;
const AHEAD: usize = 6;

impl Store {
    /// Reads a layer (gzip, zstd or plain tar) to its end and stores it. The lease keeps it until an image names it.
    ///
    /// Nothing is visible before everything `source` states was found true. If the layer is stored already, or another
    /// thread stores it meanwhile, what was read is dropped and the stored one returned.
    pub fn ingest_layer(&self, reader: impl Read, source: LayerSource, lease: &Lease) -> Result<LayerInfo> {
        let temp = TempLayer::create(self)?;
        let (stream, unpacked) = self.read_layer(reader, &source, &temp)?;
        check(&source, &stream)?;
        self.keep(temp, stream, unpacked?, source, lease)
    }

    /// Reads a layer to its end into `temp`. What unpacking it came to stands beside what the stream was, because that
    /// the stream is another one than promised explains a failure better.
    pub(super) fn read_layer(
        &self,
        reader: impl Read,
        source: &LayerSource,
        temp: &TempLayer,
    ) -> Result<(Stream, Result<Unpacked>)> {
        let limits = self.limits();
        std::thread::scope(|scope| {
            let (filled, receiver) = sync_channel(AHEAD);
            let (recycle, empty) = channel();
            let unpacking = std::thread::Builder::new().name("unpack".to_owned()).spawn_scoped(scope, || {
                let pieces = Pieces { receiver, recycle, buffer: Vec::new(), at: 0 };
                unpack(pieces, &temp.0, &limits)
            });
            let unpacking = unpacking.map_err(|error| Error::io("start a thread for", &temp.0, error))?;
            let pumped = pump(reader, source, limits, filled, empty);
            let unpacked = unpacking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // When unpacking fails first, the pump only finds nobody listening.
            match (pumped, unpacked) {
                (Ok(Some(stream)), unpacked) => Ok((stream, unpacked)),
                (Err(error), _) | (_, Err(error)) => Err(error),
                (Ok(None), Ok(_)) => Err(crate::TarError::UnexpectedEof.into()),
            }
        })
    }

    /// Gives a verified layer its name and row.
    pub(super) fn publish(&self, temp: TempLayer, info: LayerInfo) -> Result<LayerInfo> {
        let key = info.chain_id.to_string();
        let target = self.layer_dir(&info.chain_id);
        let _guard = self.lock_layers();
        if let Some(mut known) = self.0.db.read(|view| LAYERS.get(view, &key))? {
            for origin in info.origins {
                if !known.info.origins.contains(&origin) {
                    known.info.origins.push(origin);
                    self.0.db.write(|tx| LAYERS.put(tx, &key, &known))?;
                }
            }
            return Ok(known.info);
        }
        // Left by a crash, or on its way to the trash.
        self.discard(&target)?;
        std::fs::rename(&temp.0, &target).map_err(|source| Error::io("create", &target, source))?;
        let record = LayerRecord { info, synced: false, boot: boot_id() };
        let stored = self.0.db.write(|tx| LAYERS.put(tx, &key, &record));
        if let Err(error) = stored {
            let _ = self.discard(&target);
            return Err(error.into());
        }
        Ok(record.info)
    }
}

/// Chain id of a layer over another.
pub(super) fn chain(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        Some(parent) => Digest::sha256(format!("{parent} {diff_id}").as_bytes()),
        None => diff_id.clone(),
    }
}

/// A layer's folder under a temporary name; deleted unless it was renamed.
pub(super) struct TempLayer(pub(super) PathBuf);

impl TempLayer {
    pub(super) fn create(store: &Store) -> Result<Self> {
        let path = store.snapshots_dir().join(format!("tmp-{}", random_name()?));
        std::fs::create_dir(&path).map_err(|source| Error::io("create", &path, source))?;
        Ok(Self(path))
    }
}

impl Drop for TempLayer {
    fn drop(&mut self) {
        // At once and not by the trash: after a full disk the space is wanted back. What stays is swept.
        let _ = remove_tree(&self.0);
    }
}

/// What the stream turned out to be.
pub(super) struct Stream {
    /// Digest of the bytes read, if it was asked for.
    pub(super) blob: Option<Digest>,
    blob_size: u64,
    pub(super) diff_id: Digest,
}

pub(super) fn check(source: &LayerSource, stream: &Stream) -> Result<()> {
    check_blob(source, stream.blob.as_ref(), stream.blob_size)?;
    match &source.diff_id {
        Some(expected) if *expected != stream.diff_id => {
            Err(Error::DiffId { expected: expected.clone(), found: stream.diff_id.clone() })
        }
        _ => Ok(()),
    }
}

fn check_blob(source: &LayerSource, found: Option<&Digest>, size: u64) -> Result<()> {
    if let Some(expected) = source.blob_size
        && expected != size
    {
        let digest = source.blob.as_ref().map_or_else(|| "layer".to_owned(), ToString::to_string);
        return Err(Error::BlobSize { digest, expected, found: size });
    }
    match (&source.blob, found) {
        (Some(expected), Some(found)) if expected != found => {
            Err(Error::BlobDigest { expected: expected.clone(), found: found.clone() })
        }
        _ => Ok(()),
    }
}

/// Reads, hashes and inflates; sends what comes out. `None` if the receiver gave up.
fn pump(
    reader: impl Read,
    source: &LayerSource,
    limits: Limits,
    filled: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
) -> Result<Option<Stream>> {
    let hasher = source.blob.as_ref().map(|digest| Hasher::new(digest.algorithm()));
    let mut input = BufReader::with_capacity(128 << 10, Hashing { reader, hasher, size: 0 });
    let result = inflate(&mut input, limits, &filled, &empty);
    let damaged = matches!(&result, Ok(None) | Err(Error::Inflate { .. } | Error::Tar(_)));
    if damaged && source.blob.is_some() {
        // That the blob is not the promised one explains damage in it better than the damage itself.
        drain(&mut input, source.blob_size)?;
        let (blob, size) = input.into_inner().finish();
        check_blob(source, blob.as_ref(), size)?;
        return result.map(|_| None);
    }
    let Some(diff_id) = result? else { return Ok(None) };
    // Bytes after the compressed data belong to the blob.
    drain(&mut input, source.blob_size)?;
    let (blob, blob_size) = input.into_inner().finish();
    Ok(Some(Stream { blob, blob_size, diff_id }))
}

fn inflate<R: Read>(
    input: &mut BufReader<Hashing<R>>,
    limits: Limits,
    filled: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
) -> Result<Option<Digest>> {
    let mut stream = Inflate::new(input)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut total = 0u64;
    loop {
        let mut buffer = empty.try_recv().unwrap_or_default();
        buffer.resize(BUFFER, 0);
        let mut have = 0;
        while have < BUFFER {
            match stream.read(&mut buffer[have..])? {
                0 => break,
                got => have += got,
            }
        }
        buffer.truncate(have);
        hasher.update(&buffer);
        total += have as u64;
        if total > limits.tar_bytes {
            return Err(Error::Limit { what: "bytes uncompressed", limit: limits.tar_bytes });
        }
        let read = stream.get_ref().get_ref().size;
        if total > limits.ratio_from && total / limits.ratio > read {
            return Err(Error::Limit { what: "bytes per compressed byte", limit: limits.ratio });
        }
        if have == 0 {
            return Ok(Some(hasher.finish()));
        }
        if filled.send(buffer).is_err() {
            return Ok(None);
        }
    }
}

/// Reads the rest, of a blob of known size no more than shows that it is too long.
fn drain(input: &mut impl Read, size: Option<u64>) -> Result<()> {
    let mut input = input.take(size.map_or(u64::MAX, |size| size.saturating_add(1)));
    std::io::copy(&mut input, &mut std::io::sink()).map(drop).map_err(Error::Read)
}

/// Counts and hashes what passes.
struct Hashing<R> {
    reader: R,
    hasher: Option<Hasher>,
    size: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.reader.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..got]);
        }
        self.size += got as u64;
        Ok(got)
    }
}

impl<R> Hashing<R> {
    fn finish(self) -> (Option<Digest>, u64) {
        (self.hasher.map(Hasher::finish), self.size)
    }
}

/// The receiving end, as input of the tar reader.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    recycle: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
}

impl Input for Pieces {
    fn fill(&mut self) -> Result<&[u8]> {
        if self.at == self.buffer.len() {
            let next = self.receiver.recv().unwrap_or_default();
            let used = std::mem::replace(&mut self.buffer, next);
            self.at = 0;
            // Nobody needs buffers any more once the stream has ended.
            let _ = self.recycle.send(used);
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

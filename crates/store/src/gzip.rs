//! gzip on all cores.
//!
//! The data is cut into blocks and each becomes gzip members of its own (RFC 1952, section 2.2: members simply follow each
//! other). The cuts and the encoding are fixed, so the same data always gives the same bytes: a layer that is pushed twice
//! has one digest.

mod member;

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

use member::Encoder;

/// Bytes of a block. Changing it, or the encoding, changes the digest of every layer that is pushed afterwards.
const BLOCK: usize = 512 << 10;
/// More threads than this do not help: reading and sending are serial.
const MOST_THREADS: usize = 8;

type Compressed = io::Result<Vec<u8>>;
type Job = (Vec<u8>, Sender<Compressed>);

/// Compresses `input` and hands the result to `output`, piece after piece in order. An error of either ends it.
pub fn gzip(
    input: &mut (dyn Read + Send),
    output: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let (jobs, queue) = sync_channel::<Job>(threads);
    // What was begun, in order. Its bound is that of the memory in use.
    let (begun, finished) = sync_channel::<io::Result<Receiver<Compressed>>>(threads + 1);
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| compress(&queue));
        }
        scope.spawn(move || cut(input, &jobs, &begun));
        for block in &finished {
            let block = block?.recv().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            output(block?)?;
        }
        // Whoever cuts finds nobody listening after an error.
        drop(finished);
        Ok(())
    })
}

/// Cuts the input into blocks; even nothing is one.
fn cut(
    mut input: &mut dyn Read,
    jobs: &SyncSender<Job>,
    begun: &SyncSender<io::Result<Receiver<Compressed>>>,
) {
    let mut first = true;
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        if let Err(error) = (&mut input).take(BLOCK as u64).read_to_end(&mut block) {
            let _ = begun.send(Err(error));
            return;
        }
        if block.is_empty() && !first {
            return;
        }
        first = false;
        let (sender, receiver) = channel();
        if begun.send(Ok(receiver)).is_err() || jobs.send((block, sender)).is_err() {
            return;
        }
    }
}

fn compress(queue: &Mutex<Receiver<Job>>) {
    let mut encoder = Encoder::new();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((block, done)) = job else { return };
        let compressed = match &mut encoder {
            Ok(encoder) => encoder.encode(&block),
            Err(error) => Err(error.kind().into()),
        };
        // Nobody waits for it any more after an error.
        let _ = done.send(compressed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use flate2::read::MultiGzDecoder;

    use super::*;

    fn compressed(data: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        gzip(&mut &*data, &mut |piece| {
            all.extend_from_slice(&piece);
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn any_length_comes_back_and_always_the_same_way() {
        let data: Vec<u8> =
            (0..3 * BLOCK as u32).flat_map(|n| ((n / 7).wrapping_mul(n) % 251).to_le_bytes()).collect();
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, data.len()] {
            let packed = compressed(&data[..length]);
            assert!(packed == compressed(&data[..length]), "{length}");
            let mut back = Vec::new();
            MultiGzDecoder::new(&*packed).read_to_end(&mut back).unwrap();
            assert!(back == data[..length], "{length}");
        }
    }

    #[test]
    fn errors_end_it() {
        let zeros = vec![0; 20 * BLOCK];
        let refused = gzip(&mut &*zeros, &mut |_| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let broken = gzip(&mut (&zeros[..BLOCK]).chain(Broken), &mut |_| Ok(()));
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}

//! Layers that are unpacked before it is known where they stand: a stream is read once, and what says over which layer
//! another one lies may come last in it.

use std::io::Read;

use wharf_oci::{Algorithm, Digest};

use super::ingest::{Stream, TempLayer, chain, check};
use super::unpack::Unpacked;
use super::{LayerInfo, LayerSource, Lease, inflate};
use crate::tar::{BLOCK, Header};
use crate::{Error, Result, Store, TarError};

/// A layer in a folder without a name. It is gone when dropped.
pub(crate) struct Ahead {
    stream: Stream,
    /// Or why it could not be unpacked, which matters only if something needs it.
    unpacked: Result<(TempLayer, Unpacked)>,
}

/// Whether a file that begins with `head` (a block, or all of it) can be a layer: a tar or something compressed.
pub(crate) fn is_layer(head: &[u8]) -> bool {
    inflate::is_compressed(head) || is_tar(head)
}

/// Whether a file that begins with `head` is a tar as it is.
pub(crate) fn is_tar(head: &[u8]) -> bool {
    <&[u8; BLOCK]>::try_from(head).is_ok_and(|block| Header::parse(block).is_ok())
}

impl Store {
    /// Unpacks a layer whose place will be told later. `blob` is the digest it is said to have, to be compared then;
    /// `plain` whether it is a tar as it is.
    ///
    /// # Errors
    /// The stream or this machine failed. What is wrong with the layer itself is told by [`Store::adopt_layer`].
    pub(crate) fn unpack_ahead(&self, reader: impl Read, blob: Option<Digest>, plain: bool) -> Result<Ahead> {
        // The digest of a plain tar is computed anyway.
        let same = plain && blob.as_ref().is_none_or(|blob| blob.algorithm() == Algorithm::Sha256);
        let source = LayerSource { blob: blob.filter(|_| !same), ..LayerSource::default() };
        let temp = TempLayer::create(self)?;
        let (mut stream, unpacked) = self.read_layer(reader, &source, &temp)?;
        if same {
            stream.blob = Some(stream.diff_id.clone());
        }
        match unpacked {
            Err(error @ (Error::Io { .. } | Error::DiskFull { .. })) => Err(error),
            unpacked => Ok(Ahead { stream, unpacked: unpacked.map(|unpacked| (temp, unpacked)) }),
        }
    }

    /// Gives a layer the place that `source` tells, as [`Store::ingest_layer`] does.
    pub(crate) fn adopt_layer(&self, ahead: Ahead, source: LayerSource, lease: &Lease) -> Result<LayerInfo> {
        check(&source, &ahead.stream)?;
        if let (Some(expected), None) = (&source.blob, &ahead.stream.blob) {
            return Err(Error::Archive(format!("invalid image archive: content of {expected} is elsewhere")));
        }
        let (temp, unpacked) = ahead.unpacked?;
        self.keep(temp, ahead.stream, unpacked, source, lease)
    }

    pub(super) fn keep(
        &self,
        temp: TempLayer,
        stream: Stream,
        unpacked: Unpacked,
        source: LayerSource,
        lease: &Lease,
    ) -> Result<LayerInfo> {
        let info = LayerInfo {
            chain_id: chain(source.parent.as_ref(), &stream.diff_id),
            diff_id: stream.diff_id,
            parent: source.parent,
            size: unpacked.size,
            tar_size: unpacked.tar_size,
            origins: source.origin.into_iter().collect(),
        };
        lease.hold(&info.chain_id);
        self.publish(temp, info)
    }
}

/// Whether an error is the layer's own and not that of the machine: then the rest of an archive may still be good.
pub(crate) fn is_of_layer(error: &Error) -> bool {
    matches!(
        error,
        Error::Tar(TarError::UnexpectedEof | TarError::Header | TarError::FieldTooLong)
            | Error::Inflate { .. }
            | Error::Hostile { .. }
            | Error::Entry { .. }
            | Error::Limit { .. }
            | Error::BlobDigest { .. }
            | Error::BlobSize { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_no_layers() {
        assert!(is_layer(&[0x1f, 0x8b, 8, 0, 0, 0, 0]) && !is_tar(&[0x1f, 0x8b, 8, 0, 0, 0, 0]));
        assert!(is_layer(&[0; BLOCK]), "a tar without entries");
        assert!(!is_layer(&[0; BLOCK - 1]) && !is_layer(b"") && !is_layer(br#"{"schemaVersion":2}"#));
        assert!(!is_layer(&[b'{'; BLOCK]));
    }
}

use std::path::{Path, PathBuf};

use wharf_oci::Digest;

use crate::tar::TarError;

/// What can go wrong in the store. Texts that Docker has words for are Docker's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{action} {path}: {}", words(.source))]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// No space (or no inode, or no quota) left for a file.
    #[error("write {path}: no space left on device")]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The stream a layer or archive is read from failed.
    #[error(transparent)]
    Read(std::io::Error),
    /// The stream an archive is written to failed.
    #[error(transparent)]
    Write(std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] wharf_db::Error),
    /// A tar stream is damaged or ends early.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The compressed stream is damaged.
    #[error("{format}: {source}")]
    Inflate {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// The decoder's complaint.
        #[source]
        source: std::io::Error,
    },
    /// An entry of an archive tries what no honest archive does.
    #[error("refusing archive entry {name:?}: {reason}")]
    Hostile {
        /// Name of the entry as it stands in the archive.
        name: String,
        /// What it tries.
        reason: &'static str,
    },
    /// An entry of an archive cannot be made.
    #[error("archive entry {name:?}: {}", words(.source))]
    Entry {
        /// Name of the entry as it stands in the archive.
        name: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A stream exceeds one of the [`Limits`](crate::Limits).
    #[error("archive exceeds the limit of {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much would be accepted.
        limit: u64,
    },
    /// The bytes of a blob are not those its digest promises.
    #[error("filesystem layer verification failed for digest {expected}")]
    BlobDigest {
        /// The digest that was promised.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// A blob is longer or shorter than promised.
    #[error("unexpected size of {digest}: expected {expected} bytes, got {found}")]
    BlobSize {
        /// The blob.
        digest: String,
        /// Promised length in bytes.
        expected: u64,
        /// Length in bytes of what came.
        found: u64,
    },
    /// The uncompressed layer is not the one the image configuration names.
    #[error("invalid diffID for layer: expected {expected:?}, got {found:?}", expected = .expected.as_str(), found = .found.as_str())]
    DiffId {
        /// The digest in the configuration.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// A stored layer no longer gives the bytes it was made from.
    #[error("layer {chain} is damaged: {reason}")]
    DamagedLayer {
        /// Its chain id.
        chain: Digest,
        /// What was found.
        reason: String,
    },
    /// No image has this name or id.
    #[error("No such image: {name}")]
    NoImage {
        /// The name in familiar form, with the tag that was looked for.
        name: String,
    },
    /// A short id that several images share.
    #[error("image id prefix {prefix:?} is ambiguous")]
    Ambiguous {
        /// The prefix.
        prefix: String,
    },
    /// More layers than the kernel stacks.
    #[error("max depth exceeded")]
    Depth,
    /// No layer with this chain id is stored.
    #[error("layer {chain} does not exist")]
    NoLayer {
        /// The chain id.
        chain: Digest,
    },
    /// The container has no snapshot.
    #[error("no snapshot of container {id}")]
    NoSnapshot {
        /// Id of the container.
        id: String,
    },
    /// A JSON document (image configuration, manifest) cannot be read.
    #[error("invalid {what}: {source}")]
    Document {
        /// Which document.
        what: String,
        /// The JSON reader's complaint.
        #[source]
        source: serde_json::Error,
    },
    /// An image archive contradicts itself or lacks a part.
    #[error("{0}")]
    Archive(String),
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `action` on `path`; a full disk becomes [`Error::DiskFull`].
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        let (path, source) = (path.as_ref().to_owned(), source.into());
        if is_full(&source) { Self::DiskFull { path } } else { Self::Io { action, path, source } }
    }
}

/// The system's message as Go prints it: lower case and without the error number.
fn words(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => error.to_string().replace(&format!(" (os error {code})"), "").to_lowercase(),
        None => error.to_string(),
    }
}

/// Whether an error says that no space is left.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

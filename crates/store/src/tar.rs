//! The tar format, as far as layers use it.
//!
//! Own code and not a library, because a layer must be given back bit for bit: every byte that is not a file's content
//! is passed on ([`Tee`]) as it stood. Where archives in the wild bend the format, this reads what Go's archive/tar
//! reads, since that decides which images exist.
//!
//! - [`header`]: one 512-byte block; [`pax`]: records of extended headers; [`sparse`]: the maps of sparse files
//! - [`reader`]: a stream of entries; [`write`]: the other direction

mod header;
mod pax;
pub(crate) mod reader;
mod sparse;
pub(crate) mod write;

pub(crate) use header::{BLOCK, Header, Kind, Time};
pub(crate) use reader::{Entry, Input, Reader, Tee};

/// What is wrong with a tar stream. The texts are those of Go's archive/tar, which Docker shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    /// The stream ends within an entry.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// A header, or what belongs to one, makes no sense.
    #[error("archive/tar: invalid tar header")]
    Header,
    /// An extended header or sparse map beyond any honest size.
    #[error("archive/tar: header field too long")]
    FieldTooLong,
}

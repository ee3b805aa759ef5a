//! The tar format, as far as layers use it.
//!
//! Own code and not a library, because a layer must be given back bit for bit: every byte that is not a file's content
//! is passed on to the recipe as it stood.

/// What is wrong with a tar stream. The texts are those of Go's archive/tar, which Docker shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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

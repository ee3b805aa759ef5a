//! What is wrong with a template or its data, in Go's words.

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of a template; its text is complete, such as `template: :1: unclosed action`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a template.
    #[error("{0}")]
    Parse(String),
    /// The template does not fit its data.
    #[error("{0}")]
    Exec(String),
}

//! What can go wrong with the database.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed database operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite refused.
    #[error("database {path}: {source}")]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// SQLite's own error.
        source: rusqlite::Error,
    },
    /// The file was written by a newer version of the program.
    #[error("database {path} has layout {found}, but this version only knows {known}")]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The layout found.
        found: i64,
        /// The newest layout known.
        known: i64,
    },
    /// A document cannot be read or written as its type.
    #[error("document {key:?} of table {table}: {source}")]
    Document {
        /// Name of the table.
        table: &'static str,
        /// Key of the document.
        key: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// A document was written by a newer version of the program.
    #[error("document {key:?} of table {table} has version {found}, but this version only knows {known}")]
    NewerDocument {
        /// Name of the table.
        table: &'static str,
        /// Key of the document.
        key: String,
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
}

impl Error {
    /// Names the file in an error of SQLite.
    pub(crate) fn at(path: &Path) -> impl Fn(rusqlite::Error) -> Error {
        move |source| Error::Sqlite { path: path.to_owned(), source }
    }
}

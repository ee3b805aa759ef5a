use std::path::PathBuf;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or its folder cannot be made, locked or read.
    #[error("database {path}: {source}")]
    Io {
        /// The database file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds the database.
    #[error("database {path} is in use by another process")]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a database, is damaged, or belongs to another program.
    #[error("database {path} is damaged: {reason}")]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file was written by a newer version of this program.
    #[error("database {path} has format {found}, this version reads up to {supported}")]
    NewerFormat {
        /// The database file.
        path: PathBuf,
        /// Format number in the file.
        found: i32,
        /// Newest format this version knows.
        supported: i32,
    },
    /// A record was written by a newer version of this program.
    #[error(
        "database {path}: record {key:?} of {table} has version {found}, this version reads up to {supported}"
    )]
    NewerRecord {
        /// The database file.
        path: PathBuf,
        /// Name of the table.
        table: &'static str,
        /// Key of the record.
        key: String,
        /// Version of the record.
        found: u32,
        /// Newest version the table knows.
        supported: u32,
    },
    /// A record cannot be read as, or written from, its type.
    #[error("record {key:?} of {table}: {source}")]
    Record {
        /// Name of the table.
        table: &'static str,
        /// Key of the record.
        key: String,
        /// The JSON reader's complaint.
        #[source]
        source: serde_json::Error,
    },
    /// Another record has this value of a unique index, or this key.
    #[error("{table} already has {value:?} as {index} (record {holder:?})")]
    Duplicate {
        /// Name of the table.
        table: &'static str,
        /// Name of the index; `key` for the key itself.
        index: &'static str,
        /// The value.
        value: String,
        /// Key of the record that has it.
        holder: String,
    },
    /// No space left for the database.
    #[error("database {path}: no space left on device")]
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// Any other failure of SQLite.
    #[error("database {path}: {source}")]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// SQLite's error.
        #[source]
        source: rusqlite::Error,
    },
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Gives SQLite's error the file's name and sorts out those with a meaning of their own.
    pub(crate) fn sqlite(path: &std::path::Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { path, reason: source.to_string() }
            }
            _ => Self::Sqlite { path, source },
        }
    }
}

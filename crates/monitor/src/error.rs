//! Errors of the client, the launcher and the monitor itself.

use std::io;
use std::path::PathBuf;

use crate::protocol::ErrorKind;

/// What can go wrong between a client and a monitor, and inside a monitor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No monitor answers in this directory: it never ran, or it has ended. `exit.json` may tell how.
    #[error("no monitor answers in {dir}")]
    Gone {
        /// The monitor's directory.
        dir: PathBuf,
        /// The failed `connect(2)`.
        #[source]
        source: io::Error,
    },
    /// The monitor closed the connection before it answered.
    #[error("the monitor of {dir} closed the connection")]
    Closed {
        /// The monitor's directory.
        dir: PathBuf,
    },
    /// The monitor refused a request or failed to carry it out.
    #[error("{message}")]
    Remote {
        /// What kind of failure it is.
        kind: ErrorKind,
        /// The monitor's words, fit for a user.
        message: String,
    },
    /// The peer sent something that is not part of the protocol.
    #[error("bad frame: {reason}")]
    Frame {
        /// What was wrong.
        reason: String,
    },
    /// A system call on a file or directory failed.
    #[error("{action} {path}")]
    Path {
        /// What was being done, as in `open`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The failure.
        #[source]
        source: io::Error,
    },
    /// A system call that concerns no particular file failed.
    #[error("{action}")]
    System {
        /// What was being done, as in `fork`.
        action: &'static str,
        /// The failure.
        #[source]
        source: io::Error,
    },
    /// A document could not be read.
    #[error("parse {path}")]
    Document {
        /// The file.
        path: PathBuf,
        /// Where parsing stopped.
        #[source]
        source: serde_json::Error,
    },
    /// The runtime could not create the container.
    #[error("create the container")]
    Runtime(#[source] wharf_runtime::Error),
    /// A log option has a value that cannot be used; the text is Docker's.
    #[error("{0}")]
    LogOption(String),
    /// Detach keys that cannot be parsed; the text is Docker's.
    #[error("Invalid detach keys ({0}) provided")]
    DetachKeys(String),
}

impl Error {
    /// The kind the monitor gave, when the error came from the other side.
    #[must_use]
    pub fn remote_kind(&self) -> Option<ErrorKind> {
        match self {
            Error::Remote { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    pub(crate) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { action, source }
    }

    pub(crate) fn path(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Path { action, path: path.into(), source }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

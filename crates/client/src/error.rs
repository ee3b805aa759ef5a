//! What can go wrong between the client and the engine, in the words Docker's client uses.

use std::io;

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine answered with an error status.
    #[error("Error response from daemon: {message}")]
    Response {
        /// The HTTP status.
        status: u16,
        /// The engine's own message.
        message: String,
    },
    /// The engine reported an error inside a stream that began with a success status.
    #[error("{message}")]
    Stream {
        /// The engine's own message.
        message: String,
    },
    /// Nothing answers at the address.
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    Connect {
        /// The address as the user gave it.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket is there, but not for this user.
    #[error(
        "permission denied while trying to connect to the Docker daemon socket at {host}: {method} \"{url}\": \
         dial unix {path}: connect: permission denied"
    )]
    Permission {
        /// The address as the user gave it.
        host: String,
        /// The method of the request that was not sent, capitalised as in `Get`.
        method: String,
        /// The address of the request that was not sent.
        url: String,
        /// The path of the socket.
        path: String,
    },
    /// The address does not resolve, or the host cannot be reached.
    #[error("error during connect: {message}")]
    Unreachable {
        /// What went wrong.
        message: String,
    },
    /// The address cannot be understood.
    #[error("unable to resolve docker endpoint: {0}")]
    Host(String),
    /// The connection broke.
    #[error("error during connect: {0}")]
    Http(#[from] hyper::Error),
    /// What was to be sent could not be read.
    #[error("error during connect: {}", system_message(.0))]
    Upload(#[source] io::Error),
    /// Reading from or writing to the connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The engine's answer is not the document it should be.
    #[error("Error reading remote info: {0}")]
    Decode(#[from] serde_json::Error),
    /// The request cannot be written as HTTP.
    #[error("invalid request: {0}")]
    Request(#[from] http::Error),
    /// The engine answered, but not as the endpoint demands.
    #[error("unexpected answer from the engine: {0}")]
    Unexpected(String),
}

impl Error {
    /// The HTTP status the engine answered with, if it did.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Response { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The engine's own message without the words around it; otherwise the whole text.
    pub fn message(&self) -> String {
        match self {
            Self::Response { message, .. } | Self::Stream { message } => message.clone(),
            other => other.to_string(),
        }
    }

    /// True if the engine does not know the object.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// True if nothing answers at the address, so that starting an engine may help.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

/// What the system says, as Go's library prints it: in small letters and without the number.
fn system_message(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

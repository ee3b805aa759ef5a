//! The engine's one error: what went wrong, how the API classifies it, and the words a client sees.
//!
//! Leaf crates describe failures in their own terms; only the conversions here turn them into Docker's words.

use std::{error::Error as StdError, fmt, io, path::Path};

use wharf_api::error::ErrorKind;

/// Shorthand for results of engine verbs.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed verb. `Display` is the message sent to clients; the source chain is for the log.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// What a container or exec session that failed with it has as exit code, if the runtime said why.
    exit_code: Option<i32>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with the client's message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), exit_code: None, source: None }
    }

    /// The request itself is wrong (400).
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidParameter, message)
    }

    /// Something named does not exist (404).
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The request contradicts the present state (409).
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// The request is refused whatever the state (403).
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, message)
    }

    /// Nothing had to be done (304).
    pub fn not_modified() -> Self {
        Self::new(ErrorKind::NotModified, "")
    }

    /// Something this engine does not do (501).
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotImplemented, message)
    }

    /// Anything else that failed (500).
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::System, message)
    }

    /// `No such container: NAME` (404).
    pub fn no_such_container(name: &str) -> Self {
        Self::not_found(format!("No such container: {name}"))
    }

    /// A failed file operation on `path`, worded as Go prints an `os.PathError`: `open /x: permission denied`.
    pub fn io(operation: &str, path: &Path, error: io::Error) -> Self {
        let message = format!("{operation} {}: {}", path.display(), io_words(&error));
        Self::system(message).caused_by(error)
    }

    /// Keeps the underlying failure for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The same error with `prefix` before its message.
    #[must_use]
    pub fn context(mut self, prefix: impl fmt::Display) -> Self {
        self.message = format!("{prefix}{}", self.message);
        self
    }

    /// The same error under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The failed start of an exec session, in the words clients know.
    pub(crate) fn from_exec(error: wharf_monitor::Error) -> Self {
        let code = runtime_code(error.remote_kind());
        let mut error = Self::from(error);
        if error.exit_code.is_some() {
            error = error.context("OCI runtime exec failed: ");
            error.kind = ErrorKind::InvalidParameter;
        }
        error.exit_code = code;
        error
    }

    /// Exit code of a container or exec session that failed with this error before its program ran.
    pub(crate) fn exit_code(&self) -> i32 {
        self.exit_code.unwrap_or(128)
    }

    /// How the API classifies the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The exit code that stands for a program that could not be run.
fn runtime_code(kind: Option<wharf_monitor::ErrorKind>) -> Option<i32> {
    use wharf_monitor::ErrorKind as Remote;
    match kind {
        Some(Remote::NotFound) => Some(127),
        Some(Remote::NotExecutable) => Some(126),
        Some(Remote::BadProcess) => Some(128),
        _ => None,
    }
}

impl From<wharf_monitor::Error> for Error {
    fn from(error: wharf_monitor::Error) -> Self {
        use wharf_monitor::{Error as Monitor, ErrorKind as Remote};
        let kind = match &error {
            Monitor::DetachKeys(_) => ErrorKind::InvalidParameter,
            Monitor::Remote { kind: Remote::NotRunning | Remote::Paused | Remote::NotPaused, .. } => {
                ErrorKind::Conflict
            }
            Monitor::Remote { kind: Remote::InvalidRequest, .. } => ErrorKind::InvalidParameter,
            Monitor::Remote { kind: Remote::NoSuchExec, .. } => ErrorKind::NotFound,
            _ => ErrorKind::System,
        };
        let exit_code = runtime_code(error.remote_kind());
        Error { exit_code, ..Self::new(kind, error.to_string()).caused_by(error) }
    }
}

impl From<wharf_db::Error> for Error {
    fn from(error: wharf_db::Error) -> Self {
        Self::system(error.to_string()).caused_by(error)
    }
}

impl From<wharf_store::Error> for Error {
    fn from(error: wharf_store::Error) -> Self {
        Self::system(error.to_string()).caused_by(error)
    }
}

impl From<wharf_net::Error> for Error {
    fn from(error: wharf_net::Error) -> Self {
        use wharf_net::Error as Net;
        let kind = match &error {
            Net::NotFound(_) | Net::UnknownDriver(_) => ErrorKind::NotFound,
            Net::NameTaken(_) => ErrorKind::Conflict,
            Net::PoolOverlap | Net::AddressInUse(_) | Net::SingleInstance(_) | Net::Refused(_) => {
                ErrorKind::Forbidden
            }
            Net::InvalidConfig(_) | Net::InvalidEndpoint(_) | Net::InvalidOption(_) => {
                ErrorKind::InvalidParameter
            }
            _ => ErrorKind::System,
        };
        Self::new(kind, error.to_string()).caused_by(error)
    }
}

/// The text of an I/O error as Go prints it: lower case and without the error number.
pub(crate) fn io_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().collect::<String>() + chars.as_str(),
        None => String::new(),
    }
}

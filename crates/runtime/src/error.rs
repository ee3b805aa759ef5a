//! The crate's error: runc's words, because engines and their users match on them.

use std::fmt::Write as _;

use wharf_sys::Errno;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a container or an exec process could not be made. `Display` is runc's innermost text; [`Error::runc_message`] adds
/// the words runc puts before it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration asks for something impossible or unsupported; nothing was started.
    #[error("{0}")]
    Config(String),
    /// A step outside the container failed (cgroup, namespaces, hooks); nothing is left running.
    #[error("{0}")]
    Setup(String),
    /// A step inside the container's namespaces failed (mounts, user, missing program).
    #[error("{0}")]
    Init(String),
    /// The state folder or a container's state is not as the operation needs it.
    #[error("{0}")]
    State(String),
    /// No container of that id.
    #[error("container does not exist")]
    NotExist,
}

/// What a failed start means for the user's command, by the rules Docker applies to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The program or a path it needs is missing: exit code 127.
    NotFound,
    /// The program is there but cannot be executed: exit code 126.
    NotExecutable,
    /// A file was to be mounted on a directory or the other way round.
    NotADirectory,
    /// Anything else.
    Other,
}

impl Error {
    /// Classifies the failure.
    pub fn kind(&self) -> FailureKind {
        let text = self.to_string().to_lowercase();
        if text.contains("executable file not found") || text.contains("no such file or directory") {
            FailureKind::NotFound
        } else if text.contains("permission denied") {
            FailureKind::NotExecutable
        } else if text.contains("not a directory") {
            FailureKind::NotADirectory
        } else {
            FailureKind::Other
        }
    }

    /// The message as runc prints it for `verb` ("create", "exec"): `runc create failed: unable to start container process:
    /// error during container init: …`.
    pub fn runc_message(&self, verb: &str) -> String {
        let mut text =
            if verb == "exec" { "exec failed: ".to_owned() } else { format!("runc {verb} failed: ") };
        match self {
            Self::Init(_) if verb != "exec" => {
                text.push_str("unable to start container process: error during container init: ");
            }
            Self::Init(_) | Self::Setup(_) => text.push_str("unable to start container process: "),
            _ => {}
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{self}");
        text
    }

    pub(crate) fn config(text: impl Into<String>) -> Self {
        Self::Config(text.into())
    }

    pub(crate) fn setup(text: impl Into<String>) -> Self {
        Self::Setup(text.into())
    }
}

/// The text of an error number as Go prints it: all lower case, no number.
pub(crate) fn errno_text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Puts what was being done before an error number's text.
pub(crate) trait Context<T> {
    /// `<context>: <error text>` as a failure inside the container.
    fn init(self, context: impl FnOnce() -> String) -> Result<T>;
    /// `<context>: <error text>` as a failure outside of it.
    fn setup(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for std::result::Result<T, Errno> {
    fn init(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::Init(format!("{}: {}", context(), errno_text(errno))))
    }

    fn setup(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::Setup(format!("{}: {}", context(), errno_text(errno))))
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn init(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| io_errno(&error)).init(context)
    }

    fn setup(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| io_errno(&error)).setup(context)
    }
}

/// The error number of an I/O error; `EIO` when it carries none.
pub(crate) fn io_errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_message() {
        let missing = Error::Init("exec: \"x\": executable file not found in $PATH".into());
        assert_eq!(missing.kind(), FailureKind::NotFound);
        let denied = Error::Init(format!("exec: \"/etc\": is a directory: {}", errno_text(Errno::ACCESS)));
        assert_eq!(denied.kind(), FailureKind::NotExecutable);
        assert_eq!(
            missing.runc_message("create"),
            "runc create failed: unable to start container process: error during container init: \
             exec: \"x\": executable file not found in $PATH"
        );
        assert_eq!(
            missing.runc_message("exec"),
            "exec failed: unable to start container process: exec: \"x\": executable file not found in $PATH"
        );
    }
}

//! What a command can end with, and the one place that prints it.

/// The result of a command and of what it calls.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a command ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Printed as it is; the exit status is 1.
    #[error("{0}")]
    Message(String),
    /// Printed as it is, with a status of its own.
    #[error("{text}")]
    Status {
        /// The text to print; nothing is printed where it is empty.
        text: String,
        /// The exit status.
        code: u8,
    },
    /// `run` and `create` put the program's name before the text and a pointer to the help behind it.
    #[error("{text}")]
    WithHelp {
        /// What went wrong.
        text: String,
        /// `run` or `create`.
        command: &'static str,
        /// The exit status.
        code: u8,
    },
    /// The engine refused, or cannot be reached.
    #[error(transparent)]
    Client(#[from] wharf_client::Error),
    /// The `--format` template is at fault.
    #[error(transparent)]
    Template(#[from] wharf_template::Error),
    /// A local file operation failed, in the words of Go's os package.
    #[error("{operation} {path}: {}", go_os_error(.source))]
    File {
        /// `open`, `stat`, `mkdir`, …
        operation: &'static str,
        /// The path as the user gave it.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Standard input, standard output or a socket failed.
    #[error("{}", go_os_error(.0))]
    Io(#[from] std::io::Error),
}

impl Error {
    /// A plain message, exit status 1.
    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// What failed for several objects of one command line, one per line.
    ///
    /// # Errors
    /// All of them, with exit status 1, unless there is none.
    pub(crate) fn join(errors: Vec<Self>) -> Result<()> {
        if errors.is_empty() {
            return Ok(());
        }
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Err(Self::Message(texts.join("\n")))
    }

    /// True if the engine does not know the object.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Client(wharf_client::Error::Response { status: 404, .. }))
    }

    /// No text, only an exit status.
    pub(crate) fn exit(code: u8) -> Self {
        Self::Status { text: String::new(), code }
    }

    /// A failed file operation.
    pub(crate) fn file(operation: &'static str, path: impl Into<String>, source: std::io::Error) -> Self {
        Self::File { operation, path: path.into(), source }
    }

    /// The exit status of the program.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Status { code, .. } | Self::WithHelp { code, .. } => *code,
            _ => 1,
        }
    }

    /// The whole text for standard error, without the last line end; empty if there is nothing to say.
    pub(crate) fn report(&self, program: &str) -> String {
        match self {
            Self::WithHelp { text, command, .. } => {
                format!("{program}: {text}\n\nRun '{program} {command} --help' for more information")
            }
            other => other.to_string(),
        }
    }
}

/// The text Go prints for an error of the system: its message alone, beginning with a small letter.
pub(crate) fn go_os_error(error: &std::io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) => {
            let text = error.to_string();
            text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text).to_owned()
        }
        None => error.to_string(),
    };
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + chars.as_str(),
        None => text,
    }
}

/// A bad flag: its message, the usage line and the way to the help.
pub(crate) fn flag_error(text: &str, use_line: &str, path: &str) -> Error {
    let text = format!("{text}\n\nUsage:  {use_line}\n\nRun '{path} --help' for more information");
    Error::Status { text, code: 125 }
}

/// A wrong number of arguments.
pub(crate) fn args_error(program: &str, text: &str, lead: &str, use_line: &str, path: &str) -> Error {
    let help = format!("{lead} '{path} --help' for more information");
    Error::message(format!("{program}: '{path}' {text}\n\nUsage:  {use_line}\n\n{help}"))
}

/// A name no command has.
pub(crate) fn unknown_command(program: &str, path: &str, experimental: bool, name: &str) -> Error {
    // compat: the root has no usage line here, and only an experimental group's is whole.
    let usage = match path == program {
        true => String::new(),
        false => format!("Usage:  {path}{}\n\n", if experimental { " COMMAND" } else { "" }),
    };
    let help = format!("Run '{path} --help' for more information");
    Error::message(format!("{program}: unknown command: {path} {name}\n\n{usage}{help}"))
}

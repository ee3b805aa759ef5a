//! What the calls on containers take.

use wharf_api::Filters;

/// What `GET /containers/json` lists.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Also containers that do not run.
    pub all: bool,
    /// Only the newest so many, running or not; 0 means all.
    pub limit: i64,
    /// With the sizes of their layers.
    pub size: bool,
    /// Which ones.
    pub filters: Filters,
}

/// How a container is stopped or restarted.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// The signal; `None` means the container's own.
    pub signal: Option<String>,
    /// Seconds before it is killed, -1 to wait for ever; `None` means the container's own.
    pub timeout: Option<i64>,
}

/// What goes with a container when it is removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// Only the link of this name.
    pub link: bool,
    /// Kill it first if it runs.
    pub force: bool,
}

/// Which part of a log is read.
#[derive(Debug, Clone, Default)]
pub struct LogsOptions {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Go on until the container ends.
    pub follow: bool,
    /// A time before each line.
    pub timestamps: bool,
    /// The attributes of the log driver before each line.
    pub details: bool,
    /// Only lines from this time on: seconds since the epoch with an optional fraction, or RFC 3339.
    pub since: String,
    /// Only lines up to this time.
    pub until: String,
    /// Only the last so many lines; `all` or empty means all.
    pub tail: String,
}

/// Which streams of a container are attached.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// What was written before, first.
    pub logs: bool,
    /// Keys that detach; empty means the engine's.
    pub detach_keys: String,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// That the container does not run, which may be so already.
    NotRunning,
    /// The end of the next run.
    NextExit,
    /// That the container is gone.
    Removed,
}

impl WaitCondition {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not-running",
            Self::NextExit => "next-exit",
            Self::Removed => "removed",
        }
    }
}

/// How an image is made from a container.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// Name and tag of the image.
    pub reference: Option<(String, String)>,
    /// A remark for the history.
    pub comment: String,
    /// Who made it.
    pub author: String,
    /// Dockerfile instructions to apply.
    pub changes: Vec<String>,
    /// Do not pause the container meanwhile.
    pub no_pause: bool,
}

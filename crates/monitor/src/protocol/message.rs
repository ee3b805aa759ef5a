//! The messages. Fields are only ever added, each with a default.

use serde::{Deserialize, Serialize};

/// What a frame holds: the sender's protocol version and the message proper, in one JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message<T> {
    /// Protocol version of the sender.
    #[serde(default)]
    pub v: u32,
    /// The message.
    #[serde(flatten)]
    pub body: T,
}

/// What a client may ask of a monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Releases the start barrier; answered by [`Reply::Started`] once the program runs.
    Start,
    /// Sends a signal to the container's init, or to every process of the container. Answered by [`Reply::Ok`].
    Kill {
        /// Signal number.
        signal: i32,
        /// To every process of the container's cgroup instead of init alone.
        #[serde(default)]
        all: bool,
    },
    /// Freezes the container.
    Pause,
    /// Thaws the container.
    Resume,
    /// Sets the size of the container's terminal; remembered when the container has not started.
    Resize(ConsoleSize),
    /// Asks for [`Reply::Status`].
    Status,
    /// Starts another process in the container; answered by [`Reply::ExecStarted`], then the connection is its stream
    /// unless [`ExecSpec::detach`] is set.
    Exec(Box<ExecSpec>),
    /// Sets the size of an exec session's terminal.
    ExecResize {
        /// The exec session.
        id: String,
        /// The new size.
        #[serde(flatten)]
        size: ConsoleSize,
    },
    /// Sends a signal to an exec session's process.
    ExecKill {
        /// The exec session.
        id: String,
        /// Signal number.
        signal: i32,
    },
    /// Turns the connection into a stream of the container's or an exec session's output and input.
    Attach(AttachSpec),
    /// Turns the connection into a stream of events, beginning with those kept whose number is greater than `after`.
    Subscribe {
        /// Number of the last event already known; 0 for all.
        #[serde(default)]
        after: u64,
    },
    /// Opens the log file anew, as after an outside rotation.
    ReopenLog,
    /// Answered once everything the container had written before is in the log file, but for an unfinished line.
    FlushLog,
    /// The exit has been recorded: an ended monitor may go. Refused while the container runs.
    Release,
    /// A request this build does not know.
    #[serde(other)]
    Unknown,
}

/// What a monitor answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Ok,
    /// First message on the connection a launch returns: the container's init exists and its network namespace with
    /// it; it waits at the start barrier.
    Created {
        /// Pid of init in the monitor's pid namespace.
        pid: i32,
    },
    /// The container's program runs.
    Started {
        /// Pid of init.
        pid: i32,
        /// When, RFC 3339.
        #[serde(default)]
        started_at: String,
    },
    /// The exec session's program runs.
    ExecStarted {
        /// Pid of the process.
        pid: i32,
    },
    /// Answer to [`Request::Status`].
    Status(Box<Status>),
    /// The request failed.
    Error {
        /// What kind of failure.
        #[serde(default)]
        kind: ErrorKind,
        /// Words fit for a user.
        #[serde(default)]
        message: String,
    },
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The program does not exist (exit code 127).
    NotFound,
    /// The program exists but cannot be executed (exit code 126).
    NotExecutable,
    /// The working directory, user or another part of the process description does not fit the container (exit code
    /// 126 for an exec, 128 for a start).
    BadProcess,
    /// The container is not running (any more, or yet).
    NotRunning,
    /// The container is paused.
    Paused,
    /// The container is not paused.
    NotPaused,
    /// No such exec session, or it has ended.
    NoSuchExec,
    /// An exec session of that id exists.
    Exists,
    /// The request is malformed or unknown.
    InvalidRequest,
    /// Anything else.
    #[default]
    #[serde(other)]
    Internal,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// An exec session to start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// Id of the session, unique within the container.
    pub id: String,
    /// The process as the OCI runtime specification describes it; its `terminal` and `consoleSize` are not looked at.
    pub process: oci_spec::runtime::Process,
    /// Give it a terminal.
    pub terminal: bool,
    /// Initial size of the terminal.
    pub console_size: Option<ConsoleSize>,
    /// Connect its standard input; otherwise it reads from `/dev/null`.
    pub stdin: bool,
    /// Connect its standard output.
    pub stdout: bool,
    /// Connect its standard error.
    pub stderr: bool,
    /// Keep the connection a control connection and drop the output.
    pub detach: bool,
    /// Docker's detach keys, as in `ctrl-p,ctrl-q`; empty for the default. They count on a terminal only.
    pub detach_keys: String,
}

/// How to attach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachSpec {
    /// Attach to this exec session instead of the container.
    pub exec: Option<String>,
    /// Forward what the peer sends to standard input.
    pub stdin: bool,
    /// Send standard output (of a terminal: everything).
    pub stdout: bool,
    /// Send standard error.
    pub stderr: bool,
    /// Docker's detach keys, as in `ctrl-p,ctrl-q`; empty for the default. They count on a terminal only.
    pub detach_keys: String,
}

/// Where a container stands, as its monitor sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Init waits at the start barrier.
    #[default]
    Created,
    /// The program runs.
    Running,
    /// Frozen.
    Paused,
    /// Init has ended and all its output is written.
    Exited,
}

/// Answer to [`Request::Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The container's id.
    pub id: String,
    /// Pid of the monitor.
    pub monitor_pid: i32,
    /// Pid of init; 0 once it has ended.
    pub pid: i32,
    /// Where it stands.
    pub state: State,
    /// When it started, RFC 3339.
    pub started_at: Option<String>,
    /// How it ended.
    pub exit: Option<ExitStatus>,
    /// A process of the container was killed for lack of memory.
    pub oom_killed: bool,
    /// The log.
    pub log: LogStatus,
    /// Exec sessions that run.
    pub execs: Vec<ExecStatus>,
    /// Attached streams, those of exec sessions included.
    pub attachers: u32,
    /// Number of the newest event.
    pub last_event: u64,
}

/// What became of the container's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogStatus {
    /// Entries written since the start.
    pub lines: u64,
    /// Entries lost because the file could not be written.
    pub dropped_lines: u64,
    /// Bytes of output in those.
    pub dropped_bytes: u64,
}

/// One running exec session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecStatus {
    /// Its id.
    pub id: String,
    /// Its pid.
    pub pid: i32,
}

/// How a container ended; also the document `exit.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitStatus {
    /// Exit code; 128 + n when a signal ended it, and 126, 127 or 128 when it could not be started.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// A process of the container was killed for lack of memory.
    pub oom_killed: bool,
    /// When it started, RFC 3339; `None` when it never did.
    pub started_at: Option<String>,
    /// When it ended, RFC 3339.
    pub finished_at: String,
    /// Why it could not be started.
    pub error: Option<String>,
}

/// An event with its number: numbers begin at 1 and grow by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequenced {
    /// The number.
    #[serde(default)]
    pub seq: u64,
    /// When it happened, RFC 3339.
    #[serde(default)]
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happens to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The program runs.
    Started {
        /// Pid of init.
        pid: i32,
    },
    /// Init has ended, all output is in the log, the cgroup is gone and `exit.json` is written.
    Exited(ExitStatus),
    /// An exec session's program runs.
    ExecStarted {
        /// The exec session.
        id: String,
        /// Its pid.
        pid: i32,
    },
    /// An exec session has ended and all its output has been taken.
    ExecExited {
        /// The exec session.
        id: String,
        /// Exit code; 128 + n when a signal ended it.
        exit_code: i32,
    },
    /// A process of the container was killed for lack of memory.
    Oom,
    /// The container was frozen.
    Paused,
    /// The container was thawed.
    Resumed,
    /// An attached stream was ended by its detach keys.
    Detached {
        /// The exec session, `None` for the container itself.
        #[serde(default)]
        exec: Option<String>,
    },
    /// An event this build does not know.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    use super::*;

    /// Parses a message and returns it as this build writes it.
    fn replay<T: Serialize + DeserializeOwned>(message: &Value) -> Option<Value> {
        serde_json::from_value::<Message<T>>(message.clone()).ok().map(|m| serde_json::to_value(m).unwrap())
    }

    /// Whether every field of a recorded message is still written with the same value.
    fn keeps(recorded: &Value, written: &Value) -> bool {
        match (recorded, written) {
            (Value::Object(recorded), Value::Object(written)) => {
                recorded.iter().all(|(key, value)| written.get(key).is_some_and(|w| keeps(value, w)))
            }
            _ => recorded == written,
        }
    }

    #[test]
    fn recorded_messages_mean_what_they_meant() {
        for line in include_str!("samples.jsonl").lines() {
            let message: Value = serde_json::from_str(line).unwrap();
            let readings =
                [replay::<Request>(&message), replay::<Reply>(&message), replay::<Sequenced>(&message)];
            assert!(
                readings.iter().flatten().any(|written| keeps(&message, written)),
                "{line}\n{readings:?}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_no_error() {
        let parse = serde_json::from_str::<Message<Request>>;
        let later = parse(r#"{"v":9,"type":"kill","signal":15,"all":true,"gently":true}"#).unwrap();
        assert_eq!(later.body, Request::Kill { signal: 15, all: true });
        assert_eq!(parse(r#"{"v":9,"type":"checkpoint","path":"/x"}"#).unwrap().body, Request::Unknown);
        let parse = serde_json::from_str::<Message<Sequenced>>;
        let event = parse(r#"{"v":9,"seq":3,"at":"","type":"moved","to":"x"}"#).unwrap().body;
        assert_eq!((event.seq, event.event), (3, Event::Unknown));
        let parse = serde_json::from_str::<Message<Reply>>;
        let reply = parse(r#"{"v":9,"type":"error","kind":"tired","message":"m"}"#).unwrap().body;
        assert_eq!(reply, Reply::Error { kind: ErrorKind::Internal, message: "m".into() });
    }
}

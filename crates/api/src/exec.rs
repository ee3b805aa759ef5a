//! Exec sessions: `POST /containers/{id}/exec`, `/exec/{id}/…`.

use crate::go::{StrSlice, omit};

document! {
    /// The body of `POST /containers/{id}/exec`.
    #[serde(rename_all = "PascalCase")]
    pub struct CreateRequest {
        /// `user`, `uid`, `user:group` or `uid:gid`; empty means the container's.
        pub user: String,
        /// Run with all capabilities.
        pub privileged: bool,
        /// Give it a terminal.
        pub tty: bool,
        /// First size of the terminal: height, width.
        #[serde(skip_serializing_if = "omit")]
        pub console_size: Option<[u32; 2]>,
        /// Attach the standard input.
        pub attach_stdin: bool,
        /// Attach the standard error.
        pub attach_stderr: bool,
        /// Attach the standard output.
        pub attach_stdout: bool,
        /// Keys that detach, for example `ctrl-p,ctrl-q`.
        pub detach_keys: String,
        /// `NAME=value` additions to the environment.
        pub env: Option<Vec<String>>,
        /// Working directory; empty means the container's.
        pub working_dir: String,
        /// Program and arguments.
        pub cmd: Option<StrSlice>,
        /// Only echoed by some clients; what counts is [`StartRequest::detach`].
        pub detach: bool,
    }
}

document! {
    /// The answer of every call that only creates something with an id.
    #[serde(rename_all = "PascalCase")]
    pub struct CreateResponse {
        /// Id of the exec session.
        pub id: String,
    }
}

document! {
    /// The body of `POST /exec/{id}/start`.
    #[serde(rename_all = "PascalCase")]
    pub struct StartRequest {
        /// Answer at once, attach nothing.
        pub detach: bool,
        /// The client expects a raw stream.
        pub tty: bool,
        /// First size of the terminal: height, width.
        #[serde(skip_serializing_if = "omit")]
        pub console_size: Option<[u32; 2]>,
    }
}

document! {
    /// The answer of `GET /exec/{id}/json`.
    #[serde(rename_all = "PascalCase")]
    pub struct Inspect {
        /// Id of the exec session.
        #[serde(rename = "ID")]
        pub id: String,
        /// The process is there.
        pub running: bool,
        /// Its exit code; nothing before it ended.
        pub exit_code: Option<i64>,
        /// What it runs.
        pub process_config: ProcessConfig,
        /// Standard input is attached.
        pub open_stdin: bool,
        /// Standard error is attached.
        pub open_stderr: bool,
        /// Standard output is attached.
        pub open_stdout: bool,
        /// The session is over and may be forgotten.
        pub can_remove: bool,
        /// The container it belongs to.
        #[serde(rename = "ContainerID")]
        pub container_id: String,
        /// Keys that detach.
        pub detach_keys: String,
        /// Process id as the host sees it; 0 before the start.
        pub pid: i64,
    }
}

document! {
    /// What an exec session runs.
    pub struct ProcessConfig {
        /// Has a terminal.
        pub tty: bool,
        /// The program.
        pub entrypoint: String,
        /// Its arguments.
        pub arguments: Vec<String>,
        /// With all capabilities.
        #[serde(skip_serializing_if = "omit")]
        pub privileged: Option<bool>,
        /// User asked for.
        #[serde(skip_serializing_if = "omit")]
        pub user: String,
    }
}

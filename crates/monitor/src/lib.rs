//! One process per container: stdio, logs, exec sessions, exit status; its wire protocol and client.
//!
//! - [`config`]: `monitor.json`, what the daemon tells a monitor about its container
//! - [`protocol`]: frames and messages between the daemon and a monitor
//! - [`client`]: the daemon's side of one monitor
//! - [`launcher`]: the process that monitors are forked from, and the daemon's handle to it
//! - `monitor`: the monitor itself; `log`, `spill`, `detach` and `title` are its parts

pub mod client;
pub mod config;
mod detach;
mod error;
pub mod launcher;
mod log;
mod monitor;
pub mod protocol;
mod spill;
mod title;

pub use client::{Client, Events, Exec, Started, read_exit};
pub use config::{LogConfig, LogDriver, MonitorConfig, RootFs};
pub use error::{Error, Result};
pub use launcher::{Launcher, launcher_main};
pub use protocol::{
    AttachSpec, ConsoleSize, ErrorKind, Event, ExecSpec, ExecStatus, ExitStatus, FrameDecoder, LogStatus,
    Sequenced, State, Status,
};

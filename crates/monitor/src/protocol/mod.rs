//! The wire protocol between the daemon and a monitor.
//!
//! Every message is a frame: a big-endian `u32` length and that many bytes of JSON (at most [`MAX_FRAME`]). A message is
//! an object with `v` (the sender's protocol version) and `type`. Monitors outlive upgrades of the daemon, so fields
//! and types are only ever added, never changed or removed; unknown fields are ignored and an unknown request is
//! answered with an error. `samples.jsonl` holds recorded messages of every version, which a test replays.
//!
//! A connection starts as a control connection: requests are answered one by one, in order. Three requests change
//! what it carries once their reply has been sent: [`Request::Subscribe`] (frames of [`Sequenced`] events follow),
//! [`Request::Attach`] and an attached [`Request::Exec`] (the bytes of a hijacked Docker stream follow).

mod frame;
mod message;

pub use frame::{FrameDecoder, MAX_FRAME, encode};
pub use message::{
    AttachSpec, ConsoleSize, ErrorKind, Event, ExecSpec, ExecStatus, ExitStatus, LogStatus, Message, Reply,
    Request, Sequenced, State, Status,
};

/// The version this build speaks, sent as `v` in every message.
pub const VERSION: u32 = 1;

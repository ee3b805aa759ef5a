//! Typed Engine API client over a unix socket or TCP.
//!
//! - [`Host`]: where the engine listens, from `-H`, `DOCKER_HOST` or the default socket.
//! - [`Client`]: one method per endpoint, in `containers`, `exec`, `images`, `networks`, `volumes` and `system`.
//!   Documents that are only shown are generic: ask for a document of `wharf-api`, or for
//!   `serde_json::Value` where nothing may get lost.
//! - [`ByteStream`], [`JsonLines`]: bodies that arrive while they are read. [`Upload`]: one that is sent so.
//! - [`Hijacked`]: the two-way stream of attach and exec; [`Demux`] takes the multiplexed form apart.
//! - [`Error`]: what the engine refused and what did not reach it, in Docker's words.
//!
//! The crate prints nothing and runs on any tokio runtime, a current-thread one included.

mod build;
mod client;
mod containers;
mod demux;
mod error;
mod exec;
mod hijack;
mod host;
mod images;
mod networks;
mod options;
mod query;
mod stream;
mod system;
mod transport;
mod volumes;

pub use build::BuildPruneOptions;
pub use client::{API_VERSION, Client};
pub use containers::Wait;
pub use demux::Demux;
pub use error::{Error, Result};
pub use hijack::Hijacked;
pub use host::{DEFAULT_SOCKET, Host};
pub use images::{ImportOptions, PullOptions};
pub use options::{
    AttachOptions, CommitOptions, ListOptions, LogsOptions, RemoveOptions, StopOptions, WaitCondition,
};
pub use stream::{ByteStream, JsonLines};
pub use transport::{Transport, Upload};

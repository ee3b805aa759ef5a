//! Engine API documents, stream framing, filters and error kinds. Holds no logic.
//!
//! Every document prints what the reference engine prints: fields without Go's `omitempty` are always there,
//! nil slices and maps are `null`, maps are sorted. Reading accepts missing fields and `null` everywhere.
//!
//! - [`container`], [`host_config`], [`mount`], [`stats`], [`exec`], [`image`], [`network`], [`volume`], [`system`],
//!   [`auth`], [`event`]: the documents, one module a resource.
//! - [`build`]: the frames and documents of `wharf build`.
//! - [`progress`]: the JSON lines of pull, load, import and push.
//! - [`stream`]: the 8-byte frames of attach, exec and logs.
//! - [`filter`]: the `filters` query parameter.
//! - [`error`]: error kinds, their HTTP status and the error document.
//! - [`time`]: timestamps as Go prints them.
//! - [`version`]: API versions and their negotiation bounds.

#[macro_use]
mod go;

pub mod auth;
pub mod build;
pub mod container;
pub mod error;
pub mod event;
pub mod exec;
pub mod filter;
pub mod host_config;
pub mod image;
pub mod mount;
pub mod network;
pub mod progress;
pub mod stats;
pub mod stream;
pub mod system;
pub mod time;
pub mod version;
pub mod volume;

pub use error::{ErrorKind, ErrorResponse};
pub use filter::Filters;
pub use go::{Empty, Map, Set, StrSlice};
pub use version::ApiVersion;

//! Image archives as files: `docker save` in its present and older forms, and OCI layouts.
//!
//! - [`Loaded`]: what [`Store::load`](crate::Store::load) found
//! - `spool`: an archive that is read once: its layers are unpacked on the way, its documents kept; `stream`: reading it
//! - `docker` and `layout`: the two kinds

mod docker;
mod layout;
mod load;
mod spool;
mod stream;

pub use load::{LoadProgress, Loaded};

//! Image archives as files: `docker save` in its present and older forms, and OCI layouts.
//!
//! - [`Loaded`]: what [`Store::load`](crate::Store::load) found
//! - `spool`: an archive on the disk, to be read in any order; `docker` and `layout`: the two kinds

mod docker;
mod layout;
mod load;
mod spool;

pub use load::{LoadProgress, Loaded};

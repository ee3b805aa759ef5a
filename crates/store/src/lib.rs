//! Content, images, overlay snapshots, tar diff and apply, archives. Knows containers only as ids.
//!
//! - [`Store`]: one folder and the tables that say what is in it
//! - [`Images`]: images, their names and documents
//! - [`LayerInfo`], [`Lease`]: layers, shared by chain id, and what keeps new ones
//! - [`Snapshots`]: the file systems of containers
//! - [`Cache`]: layers that build steps made, by what went into them
//! - [`pack`], [`unpack`]: parts of a mounted root as a tar, both ways
//! - [`gzip`]: how layers are compressed for others
//! - [`Partial`]: what an interrupted pull leaves for the next one
//! - [`Loaded`]: images that came in an archive
//! - [`Problem`]: where rows and files do not agree
//!
//! Rows are the truth and change in the caller's transaction; files follow. A folder appears under its final name by one
//! rename, after everything in it was verified, and leaves it by one rename into `trash/`. What no row names is swept at
//! the next start.

mod archive;
mod cache;
mod check;
mod error;
mod gzip;
mod image;
mod layer;
mod merged;
mod partial;
mod snapshot;
mod store;
mod sweep;
mod tar;
mod trash;
mod walk;
mod xattr;

pub use archive::{LoadProgress, Loaded};
pub use cache::{Cache, CacheRecord};
pub use check::{Problem, Report};
pub use error::{Error, Result};
pub use gzip::gzip;
pub use image::{Image, ImageRecord, Images, NewImage, Removed, check_depth};
pub use layer::{LayerInfo, LayerOrigin, LayerSource, LayerTar, Lease, Limits};
pub use partial::{Partial, RunningPull};
pub use snapshot::{
    Bind, Change, ChangeKind, Decompressed, Mounts, Snapshot, Snapshots, Unpack, pack, unpack,
};
pub use store::Store;
pub use sweep::Swept;
pub use tar::TarError;

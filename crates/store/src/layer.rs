//! Layers: a folder per chain id with the unpacked tree and what rebuilds the tar from it.
//!
//! `snapshots/<chain id>/` holds `diff` (the tree, a lower folder of overlay mounts), `recipe` (headers and padding of
//! the tar, compressed, with a reference wherever a file's bytes belong) and, in the rare layer that has an entry twice,
//! `shadow` and `moved` (contents that a later entry of the same layer replaced, and where they are).
//!
//! - `ingest`: a compressed stream becomes such a folder; `inflate`, `unpack`, `parents` and `replaced` are its steps
//! - `ahead`: the same for a stream whose place among other layers is told later
//! - [`Lease`]: keeps layers from being removed between their arrival and the image that names them
//! - `seal`: the changes of a build step become such a folder where they are, after `settle`
//! - `stack`: the same folder over another base
//! - `recipe`: writing and reading of recipes; [`LayerTar`] is the tar again

mod ahead;
mod attributes;
mod inflate;
mod ingest;
mod lease;
mod limits;
mod parents;
mod recipe;
mod record;
mod replaced;
mod seal;
mod settle;
mod stack;
mod unpack;

pub(crate) use ahead::{Ahead, is_layer, is_of_layer, is_tar};
pub(crate) use attributes::{owner, times, tolerate, wanted_xattrs};
pub(crate) use inflate::Inflate;
pub use lease::Lease;
pub use limits::Limits;
pub(crate) use parents::{Parents, split};
pub use recipe::LayerTar;
pub(crate) use record::{LAYERS, LayerRecord};
pub use record::{LayerInfo, LayerOrigin, LayerSource};
pub(crate) use replaced::Size;
pub(crate) use unpack::{clean, hostile, write_content};

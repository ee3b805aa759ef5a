//! One file per command, one folder per kind of object.

pub(crate) mod builder;
pub(crate) mod container;
pub(crate) mod image;
pub(crate) mod manifest;
pub(crate) mod network;
pub(crate) mod system;
pub(crate) mod volume;

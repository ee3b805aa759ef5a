//! Records as API documents. Differences between API versions live here.

pub(crate) mod container;
pub(crate) mod disk_usage;
mod elapsed;
pub(crate) mod endpoint;
pub(crate) mod exec;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod volume;

//! Networks: the resource with its verbs, and a container's endpoints over one run.

mod endpoints;
mod verbs;

pub use wharf_net::{NetworkRecord, PoolRecord};

pub(crate) use self::endpoints::{names, wanted_endpoints};

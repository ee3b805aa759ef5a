//! Networks against the real kernel, each test in network namespaces of its own. Needs root, and `ip` and `nft` to
//! play the host's administrator.
#![allow(clippy::unwrap_used)]

mod bridge;
mod dns;
mod lab;

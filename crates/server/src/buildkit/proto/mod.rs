//! The messages of BuildKit's protocol: those that are spoken here, with the fields that are read or written. Kept by
//! hand after the published `.proto` files that each module names; numbers and types are the wire format, unknown fields
//! are skipped.

pub(crate) mod control;
pub(crate) mod filesync;
pub(crate) mod gateway;
pub(crate) mod session;
pub(crate) mod types;

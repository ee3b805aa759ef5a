//! `wharf registry serve`: every MUST of the distribution specification 1.1 (`spec`), what goes beyond it, faults, and other
//! programs as clients.

#![allow(clippy::unwrap_used, missing_docs)]

mod auth;
mod cache;
mod catalog;
mod clients;
mod collect;
mod engine;
mod faults;
mod full_disk;
mod layout;
mod page;
mod push;
mod read_only;
mod server;
mod slow;
mod spec;

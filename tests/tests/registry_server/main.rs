//! `wharf registry serve`: every MUST of the distribution specification 1.1, faults, and other programs as clients.

#![allow(clippy::unwrap_used, missing_docs)]

mod auth;
mod cache;
mod clients;
mod collect;
mod discovery;
mod engine;
mod faults;
mod management;
mod page;
mod pull;
mod push;
mod server;

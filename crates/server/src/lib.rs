//! The Engine API over HTTP: routes, views and hijacked streams over the engine. Decides nothing by itself.
#![allow(dead_code)]

#[macro_use]
mod dispatch;
mod body;
mod call;
mod connection;
mod failure;
mod go_json;
mod hijack;
mod listen;
mod produce;
mod query;
mod reply;
mod socket;
#[cfg(test)]
mod tests;

pub use listen::{Host, ListenError, Listener};

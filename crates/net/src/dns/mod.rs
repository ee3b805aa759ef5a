//! The name server inside containers of user-defined networks.

#![allow(dead_code)]

mod names;

use std::io;

pub(crate) use names::Names;

/// The engine's name service.
#[derive(Debug)]
pub(crate) struct Dns {
    names: Names,
}

impl Dns {
    pub(crate) fn new() -> io::Result<Dns> {
        Ok(Dns { names: Names::default() })
    }

    /// Who is called what.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }
}

//! What a build does besides its steps, for progress to show: it gets numbers after those of the steps.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{BuildClient, Report};
use crate::Result;

/// Gives out numbers.
pub(super) struct Vertices<'a> {
    client: &'a dyn BuildClient,
    next: AtomicUsize,
}

/// Something that is being done.
pub(super) struct Vertex<'a> {
    client: &'a dyn BuildClient,
    step: usize,
}

impl<'a> Vertices<'a> {
    /// Numbers from `first` on.
    pub(super) fn new(client: &'a dyn BuildClient, first: usize) -> Self {
        Self { client, next: AtomicUsize::new(first) }
    }

    /// Does something under a name that progress shows.
    ///
    /// # Errors
    /// Those of the work.
    pub(super) fn show<T>(&self, name: &str, work: impl FnOnce(&Vertex<'a>) -> Result<T>) -> Result<T> {
        let step = self.next.fetch_add(1, Ordering::Relaxed);
        self.client.report(Report::Started { step, name });
        let done = work(&Vertex { client: self.client, step });
        self.client.report(match &done {
            Ok(_) => Report::Done { step },
            Err(error) => Report::Failed { step, error: error.to_string() },
        });
        done
    }
}

impl Vertex<'_> {
    /// Tells of a part that is done.
    pub(super) fn status(&self, text: &str) {
        self.client.report(Report::Status { step: self.step, text });
    }
}

//! What a build does besides its steps, for progress to show: it gets numbers that no step has.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{BuildClient, Report};
use crate::Result;

/// Numbers from here on are no steps': a plan is limited to far fewer.
const FIRST: usize = 1 << 24;
/// Numbers of what happens while there is no plan yet, and before that is made.
const OF_PLAN: usize = FIRST / 2;
const BEFORE: usize = OF_PLAN - 1;

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
    /// For what goes with the steps of a plan.
    pub(super) fn new(client: &'a dyn BuildClient) -> Self {
        Self { client, next: AtomicUsize::new(FIRST) }
    }

    /// For the making of a plan.
    pub(super) fn of_plan(client: &'a dyn BuildClient) -> Self {
        Self { client, next: AtomicUsize::new(OF_PLAN) }
    }

    /// For the one thing that comes before a plan is made.
    pub(super) fn before(client: &'a dyn BuildClient) -> Self {
        Self { client, next: AtomicUsize::new(BEFORE) }
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
    /// Hands on what a program wrote.
    pub(super) fn output(&self, text: &[u8]) {
        self.client.report(Report::Output { step: self.step, text });
    }

    /// Tells of a part that is done.
    pub(super) fn status(&self, text: &str) {
        self.client.report(Report::Status { step: self.step, text });
    }
}

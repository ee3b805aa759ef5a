use std::ops::Deref;
use std::path::Path;

use rusqlite::Connection;

/// A view of the database for reading; every [`Table`](crate::Table) method that only reads takes one.
pub struct View<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) path: &'a Path,
}

/// A transaction: a [`View`] that sees its own changes, and can change.
pub struct Tx<'a> {
    pub(crate) view: View<'a>,
    pub(crate) hooks: Hooks,
}

type Hook = Box<dyn FnOnce() + Send>;

/// What is to happen outside the database once the fate of a transaction is known.
#[derive(Default)]
pub(crate) struct Hooks {
    commit: Vec<Hook>,
    rollback: Vec<Hook>,
}

impl Hooks {
    pub(crate) fn run(self, committed: bool) {
        let hooks = if committed { self.commit } else { self.rollback };
        for hook in hooks {
            hook();
        }
    }
}

impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl Tx<'_> {
    /// Has `hook` run after a successful commit, outside the writer's lock, in the order of the calls. If the process
    /// dies in between it does not run: the next start must find what is left to do.
    pub fn on_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.commit.push(Box::new(hook));
    }

    /// Has `hook` run if the transaction is undone. Not run when the process dies, nor after a panic.
    pub fn on_rollback(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.rollback.push(Box::new(hook));
    }
}

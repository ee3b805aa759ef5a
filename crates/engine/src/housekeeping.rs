//! Work nobody waits for: deleting what was removed, syncing what is new, giving spare pages of the database back.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use wharf_db::Db;
use wharf_store::Store;

/// Does that work on a thread of its own. One works at a time, and at most one more waits for it. Cloning gives another
/// handle to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Housekeeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    db: Db,
    /// A run is queued that has not looked into the trash yet.
    queued: AtomicBool,
    turn: Mutex<()>,
}

impl Housekeeper {
    pub(crate) fn new(store: Arc<Store>, db: Db) -> Self {
        Self(Arc::new(Inner { store, db, queued: AtomicBool::new(false), turn: Mutex::default() }))
    }

    /// Has the work done in a moment. To be called by verbs that removed something or stored a layer.
    pub(crate) fn soon(&self) {
        if self.0.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = Arc::clone(&self.0);
        let started = thread::Builder::new().name("housekeeping".to_owned()).spawn(move || {
            let _turn = inner.turn.lock().unwrap_or_else(PoisonError::into_inner);
            // Before the work: what is removed from here on may be missed and has to queue a run of its own.
            inner.queued.store(false, Ordering::Release);
            inner.run();
        });
        if started.is_err() {
            self.0.queued.store(false, Ordering::Release);
        }
    }
}

impl Inner {
    fn run(&self) {
        if let Err(error) = self.store.empty_trash() {
            tracing::warn!(%error, "emptying the trash");
        }
        if let Err(error) = self.store.sync() {
            tracing::warn!(%error, "syncing new layers");
        }
        if let Err(error) = self.db.compact() {
            tracing::warn!(%error, "compacting the database");
        }
    }
}

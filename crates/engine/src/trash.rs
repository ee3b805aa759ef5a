//! Deleting in the background what verbs have moved to the trash.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::runtime::Handle;
use wharf_store::Store;

/// One sweep works at a time, and at most one more waits for it.
#[derive(Debug, Default)]
pub(crate) struct Trash {
    /// A sweep is queued that has not looked into the trash yet.
    queued: AtomicBool,
    turn: Mutex<()>,
}

impl Trash {
    /// Queues a sweep that deletes at least all that is in the trash now.
    pub(crate) fn empty_soon(self: &Arc<Self>, runtime: &Handle, store: &Arc<Store>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let (trash, store) = (self.clone(), store.clone());
        runtime.spawn_blocking(move || {
            let _turn = trash.turn.lock().unwrap_or_else(PoisonError::into_inner);
            // Before the work: what comes into the trash from here on may be missed and has to queue a sweep of its own.
            trash.queued.swap(false, Ordering::AcqRel);
            if let Err(error) = store.empty_trash() {
                tracing::warn!(%error, "emptying the trash");
            }
            if let Err(error) = store.sync() {
                tracing::warn!(%error, "syncing new layers");
            }
        });
    }
}

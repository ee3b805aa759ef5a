//! Open uploads: how far each is, and the hash of what came, so that nothing is read twice.
//!
//! The bytes of an upload lie in the storage, where they outlive the process; what is kept here is found again from them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use wharf_oci::Hasher;

use super::name::Name;

/// Repository and id of an upload.
type Key = (Name, String);

/// Uploads of which more is kept than their bytes in the storage. Those that nobody is writing to may be forgotten: what is
/// known of them is found again.
const MOST: usize = 4096;

/// The uploads of this process.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Key, Arc<Session>>>);

/// An upload.
#[derive(Default)]
pub(crate) struct Session {
    /// Bytes stored, for those who only ask.
    stored: AtomicU64,
    /// Set when there is nothing to write to any more.
    over: AtomicBool,
    /// Ends the request that is writing.
    writing: Mutex<CancellationToken>,
    /// Held by the request that is writing.
    progress: tokio::sync::Mutex<Option<Progress>>,
}

/// How far an upload is.
#[derive(Clone)]
pub(crate) struct Progress {
    /// Of all bytes stored.
    pub(crate) hasher: Hasher,
    /// Bytes stored.
    pub(crate) offset: u64,
}

/// The right to write to an upload.
pub(crate) struct Turn<'a> {
    session: &'a Session,
    /// `None` until the stored bytes were read.
    pub(crate) progress: tokio::sync::MutexGuard<'a, Option<Progress>>,
    /// Cancelled when another request takes over.
    pub(crate) interrupted: CancellationToken,
}

impl Sessions {
    /// The upload's session, made if this process has not met it.
    pub(crate) fn get(&self, name: &Name, id: &str) -> Arc<Session> {
        let key = (name.clone(), id.to_owned());
        let mut map = self.map();
        if map.len() >= MOST && !map.contains_key(&key) {
            // Clients that open uploads and leave them cost no memory.
            map.retain(|_, session| Arc::strong_count(session) > 1);
        }
        map.entry(key).or_default().clone()
    }

    /// Forgets an upload.
    pub(crate) fn forget(&self, name: &Name, id: &str) {
        if let Some(session) = self.map().remove(&(name.clone(), id.to_owned())) {
            session.over.store(true, Ordering::SeqCst);
        }
    }

    /// Whether a request is writing to the upload right now.
    pub(crate) fn is_busy(&self, name: &Name, id: &str) -> bool {
        let key = (name.clone(), id.to_owned());
        self.map().get(&key).is_some_and(|session| session.progress.try_lock().is_err())
    }

    /// Number of uploads this process knows.
    pub(crate) fn len(&self) -> usize {
        self.map().len()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Key, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// A session of an upload that has just begun.
    pub(crate) async fn begun(&self) {
        *self.progress.lock().await = Some(Progress { hasher: Hasher::sha256(), offset: 0 });
    }

    /// Waits for the right to write. A request that still holds it is ended: its client came back on another connection
    /// before this side saw the first one break.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let interrupted = CancellationToken::new();
        let before = {
            let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *writing, interrupted.clone())
        };
        before.cancel();
        Turn { session: self, progress: self.progress.lock().await, interrupted }
    }

    /// Bytes stored, as far as this process knows.
    pub(crate) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Whether the stored bytes were counted by this process.
    pub(crate) fn is_counted(&self) -> bool {
        // Whoever holds the lock has counted or is counting.
        self.progress.try_lock().map_or(true, |progress| progress.is_some())
    }
}

impl Turn<'_> {
    /// Whether the upload ended while its turn was awaited.
    pub(crate) fn is_over(&self) -> bool {
        self.session.over.load(Ordering::SeqCst)
    }

    /// Notes how far the upload is.
    pub(crate) fn store(&mut self, progress: Progress) {
        self.session.stored.store(progress.offset, Ordering::Relaxed);
        *self.progress = Some(progress);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn uploads_that_nobody_goes_on_with_are_forgotten() {
        let (sessions, name) = (Sessions::default(), Name::parse("a").unwrap());
        let busy = sessions.get(&name, "busy");
        let _turn = busy.turn().await;
        for id in 0..3 * MOST {
            sessions.get(&name, &id.to_string()).begun().await;
        }
        assert!(sessions.len() <= MOST, "{}", sessions.len());
        assert!(sessions.is_busy(&name, "busy"));
        // One that was forgotten counts anew; nothing else about it is lost.
        assert!(!sessions.get(&name, "0").is_counted());
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_sees_that_the_upload_is_over() {
        let (sessions, name) = (Sessions::default(), Name::parse("a").unwrap());
        let session = sessions.get(&name, "x");
        sessions.forget(&name, "x");
        assert!(session.turn().await.is_over());
        assert!(!sessions.get(&name, "x").turn().await.is_over());
    }
}

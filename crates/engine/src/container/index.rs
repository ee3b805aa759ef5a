//! All containers in memory, found by id, name or unique id prefix.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use tokio::sync::watch;
use wharf_api::error::ErrorKind;

use super::{Container, attach::PendingAttach, live::Live};
use crate::{Error, Result};

/// One container: its published record, the lock that verbs take, and what lives only as long as the daemon.
#[derive(Debug)]
pub struct Entry {
    record: watch::Sender<Arc<Container>>,
    verb: Mutex<()>,
    pub(super) live: Mutex<Option<Arc<Live>>>,
    pub(super) pending: Mutex<Vec<PendingAttach>>,
}

impl Entry {
    /// An entry whose first published record is `container`.
    pub(crate) fn new(container: Container) -> Arc<Self> {
        Arc::new(Entry {
            record: watch::Sender::new(Arc::new(container)),
            verb: Mutex::default(),
            live: Mutex::default(),
            pending: Mutex::default(),
        })
    }

    /// The record as last published.
    pub fn get(&self) -> Arc<Container> {
        self.record.borrow().clone()
    }

    /// A receiver that sees every further publication.
    pub fn watch(&self) -> watch::Receiver<Arc<Container>> {
        self.record.subscribe()
    }

    /// Makes `container` what readers see from now on.
    pub(crate) fn publish(&self, container: Container) -> Arc<Container> {
        let container = Arc::new(container);
        self.record.send_replace(container.clone());
        container
    }

    /// Waits until no other verb works on the container and keeps others out.
    ///
    /// Two containers are locked in the order of their ids.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        self.verb.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to the container's monitor, while one runs.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = live;
    }
}

/// The in-memory index. Writers are the create, rename and remove verbs only.
#[derive(Debug, Default)]
pub struct Index {
    maps: RwLock<Maps>,
}

#[derive(Debug, Default)]
struct Maps {
    by_id: BTreeMap<String, Arc<Entry>>,
    by_name: HashMap<String, String>,
}

impl Index {
    /// Adds an entry under its id and name.
    pub(crate) fn insert(&self, entry: Arc<Entry>) {
        let container = entry.get();
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        maps.by_name.insert(container.name.clone(), container.id.clone());
        maps.by_id.insert(container.id.clone(), entry);
    }

    /// Forgets a container and its name.
    pub(crate) fn remove(&self, container: &Container) {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        maps.by_name.remove(&container.name);
        maps.by_id.remove(&container.id);
    }

    /// Moves an entry to a new name.
    pub(crate) fn rename(&self, id: &str, old: &str, new: &str) {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        maps.by_name.remove(old);
        maps.by_name.insert(new.to_owned(), id.to_owned());
    }

    /// All entries in the order of their ids.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        maps.by_id.values().cloned().collect()
    }

    /// Finds a container by full id, name (a leading slash is allowed) or unique prefix of its id, in this order.
    ///
    /// # Errors
    /// `No such container` (404), or an ambiguous prefix (400).
    pub fn find(&self, name: &str) -> Result<Arc<Entry>> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = maps.by_id.get(name) {
            return Ok(entry.clone());
        }
        let bare = name.strip_prefix('/').unwrap_or(name);
        if let Some(entry) = maps.by_name.get(bare).and_then(|id| maps.by_id.get(id)) {
            return Ok(entry.clone());
        }
        if name.is_empty() {
            return Err(Error::no_such_container(name));
        }
        let mut matches = maps.by_id.range(name.to_owned()..).take_while(|(id, _)| id.starts_with(name));
        match (matches.next(), matches.next()) {
            (Some((_, entry)), None) => Ok(entry.clone()),
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::InvalidParameter,
                format!("multiple IDs found with provided prefix: {name}"),
            )),
            (None, _) => Err(Error::no_such_container(name)),
        }
    }
}

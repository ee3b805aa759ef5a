use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::tx::{Hooks, Tx, View};
use crate::{Error, Result, open};

/// Commits after which the log is moved into the file: about 4 MiB of log at a container's worth of rows per commit.
const CHECKPOINT_EVERY: u32 = 256;
/// Readers kept open while nobody reads. Each holds some tens of KiB.
const IDLE_READERS: usize = 2;

/// How much a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The death of the process; a power cut may undo the last commits, all or none of each.
    #[default]
    Normal,
    /// A power cut too: the commit, if it changes anything, and all before it are synced to the disk.
    Full,
}

/// An open database. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    commits: AtomicU32,
    checkpointing: Arc<Mutex<()>>,
    _lock: File,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Db").field(&self.0.path).finish()
    }
}

impl Db {
    /// Opens the database at `path`, made if missing (mode 0600, in an existing folder).
    ///
    /// Fails if another process has it open, if the file is not a database of this program or is damaged, and if a
    /// newer version wrote it. The file is left as it is in all these cases.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let lock = open::lock(path)?;
        let writer = open::writer(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            commits: AtomicU32::new(0),
            checkpointing: Arc::default(),
            _lock: lock,
        })))
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Runs `work` in a transaction and commits it with [`Durability::Normal`] if it succeeds, else undoes it.
    ///
    /// Transactions run one at a time: `work` must not wait for anything, and must not call `write` again.
    pub fn write<T, E: From<Error>>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        self.write_with(Durability::Normal, work)
    }

    /// [`Db::write`] with a choice of durability.
    pub fn write_with<T, E: From<Error>>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (result, hooks) = {
            let conn = lock(&self.0.writer);
            self.transact(&conn, durability, work)
        };
        // After the lock is released: a hook may take locks under which others write.
        hooks.run(result.is_ok());
        if result.is_ok() {
            self.committed();
        }
        result
    }

    /// Runs `work` on a view of the database that stays the same while it runs. Does not wait for writers.
    pub fn read<T, E: From<Error>>(&self, work: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        let idle = lock(&self.0.readers).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => open::reader(&self.0.path).map_err(|source| self.error(source))?,
        };
        let result = self.look(&conn, work);
        let mut readers = lock(&self.0.readers);
        if readers.len() < IDLE_READERS {
            readers.push(conn);
        }
        result
    }

    fn look<T, E: From<Error>>(
        &self,
        conn: &Connection,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let snapshot = conn.unchecked_transaction().map_err(|source| self.error(source))?;
        work(&View { conn: &snapshot, path: &self.0.path })
    }

    fn transact<T, E: From<Error>>(
        &self,
        conn: &Connection,
        durability: Durability,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> (Result<T, E>, Hooks) {
        let _level = match SyncLevel::raise(conn, durability) {
            Ok(level) => level,
            Err(source) => return (Err(self.error(source)), Hooks::default()),
        };
        // Dropping the transaction without a commit, also in a panic, rolls it back.
        let begun = rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate);
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(source) => return (Err(self.error(source)), Hooks::default()),
        };
        let mut tx = Tx { view: View { conn: &transaction, path: &self.0.path }, hooks: Hooks::default() };
        let result = work(&mut tx);
        let hooks = std::mem::take(&mut tx.hooks);
        drop(tx);
        let result = result.and_then(|value| transaction.commit().map(|()| value).map_err(|e| self.error(e)));
        (result, hooks)
    }

    /// Gives disk space back that rows and log no longer need, if that is worth the trouble. Writers wait for as long as
    /// copying the rows that are left takes; meant for a background thread after a removal.
    pub fn compact(&self) -> Result<()> {
        let failed = |source| Error::sqlite(&self.0.path, source);
        {
            // With the log moved, and synced, beforehand, what follows under the lock is short.
            let Ok(_guard) = self.0.checkpointing.try_lock() else { return Ok(()) };
            open::checkpoint(&self.0.path).map_err(failed)?;
        }
        let conn = lock(&self.0.writer);
        open::compact(&conn, &self.0.path).map_err(failed)
    }

    /// Counts a commit and now and then has a throw-away thread move the log into the file.
    fn committed(&self) {
        if !(self.0.commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(CHECKPOINT_EVERY) {
            return;
        }
        let path = self.0.path.clone();
        let running = Arc::clone(&self.0.checkpointing);
        // If no thread can be made now, a later commit tries again: the log only grows meanwhile.
        let _ = std::thread::Builder::new().name("db-checkpoint".to_owned()).spawn(move || {
            if let Ok(_guard) = running.try_lock() {
                let _ = open::checkpoint(&path);
            }
        });
    }

    fn error<E: From<Error>>(&self, source: rusqlite::Error) -> E {
        Error::sqlite(&self.0.path, source).into()
    }
}

/// Sets `synchronous=FULL` for one transaction.
struct SyncLevel<'a>(Option<&'a Connection>);

impl<'a> SyncLevel<'a> {
    fn raise(conn: &'a Connection, durability: Durability) -> rusqlite::Result<Self> {
        if durability == Durability::Normal {
            return Ok(Self(None));
        }
        conn.execute_batch("PRAGMA synchronous=FULL")?;
        Ok(Self(Some(conn)))
    }
}

impl Drop for SyncLevel<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.0 {
            // Staying at FULL costs time, not safety.
            let _ = conn.execute_batch("PRAGMA synchronous=NORMAL");
        }
    }
}

/// A panic in a transaction has rolled it back, so what the mutex guards is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

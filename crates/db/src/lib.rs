//! Typed tables and transactions over one SQLite file.
//!
//! A [`Table`] is a named set of JSON documents of one type, keyed by text; the crate that owns the type declares it as
//! a constant. All tables live in one SQL table of the file, so that a transaction spans whatever a verb touches and
//! anyone can look inside with `sqlite3`:
//!
//! ```sql
//! SELECT key, body FROM documents WHERE "table" = 'containers';
//! ```
//!
//! The file is in WAL mode: a commit survives the death of the process at once, and the loss of power after the next
//! checkpoint, or at once with [`Db::write_durably`].

mod error;
mod table;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use self::{
    error::{Error, Result},
    table::Table,
};

/// Layout of the file itself; the versions of documents are the tables' own.
const FILE_VERSION: i64 = 1;
/// How long a second process that holds the file is waited for.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS documents (
        \"table\" TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (\"table\", key)
    ) WITHOUT ROWID;
";

/// A handle to the database; clones share it.
#[derive(Clone, Debug)]
pub struct Db {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    // Apart from the writer, so that a read never waits for a verb's transaction.
    reader: Mutex<Connection>,
}

/// A transaction. Reads see what it has written.
#[derive(Debug)]
pub struct Tx<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

impl Db {
    /// Opens the file at `path`, or makes it.
    ///
    /// # Errors
    /// The file cannot be opened, is no database, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Db> {
        let writer = connect(path).map_err(Error::at(path))?;
        let version: i64 =
            writer.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(Error::at(path))?;
        if version > FILE_VERSION {
            return Err(Error::Newer { path: path.to_owned(), found: version, known: FILE_VERSION });
        }
        writer.execute_batch(SCHEMA).map_err(Error::at(path))?;
        writer.pragma_update(None, "user_version", FILE_VERSION).map_err(Error::at(path))?;
        let reader = connect(path).map_err(Error::at(path))?;
        let inner = Inner { path: path.to_owned(), writer: Mutex::new(writer), reader: Mutex::new(reader) };
        Ok(Db { inner: Arc::new(inner) })
    }

    /// Runs `work` in a transaction that is committed if it returns `Ok` and undone otherwise. Transactions are run one
    /// after the other; `work` must not begin another one.
    ///
    /// # Errors
    /// Those of `work`, or the transaction cannot be begun or committed.
    pub fn write<T, E: From<Error>>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = lock(&self.inner.writer);
        self.transact(&mut connection, TransactionBehavior::Immediate, work)
    }

    /// As [`Db::write`], but returns only when the commit would survive the loss of power.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn write_durably<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = lock(&self.inner.writer);
        let set = |connection: &Connection, mode: &str| {
            connection.pragma_update(None, "synchronous", mode).map_err(Error::at(&self.inner.path))
        };
        set(&connection, "FULL")?;
        let result = self.transact(&mut connection, TransactionBehavior::Immediate, work);
        set(&connection, "NORMAL")?;
        result
    }

    /// Runs `work` on one consistent state of the database, without waiting for writers.
    ///
    /// # Errors
    /// Those of `work`, or the database cannot be read.
    pub fn read<T, E: From<Error>>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = lock(&self.inner.reader);
        self.transact(&mut connection, TransactionBehavior::Deferred, |tx| work(tx))
    }

    fn transact<T, E: From<Error>>(
        &self,
        connection: &mut Connection,
        behavior: TransactionBehavior,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let at = Error::at(&self.inner.path);
        let transaction = connection.transaction_with_behavior(behavior).map_err(&at)?;
        let value = work(&mut Tx { connection: &transaction, path: &self.inner.path })?;
        transaction.commit().map_err(at)?;
        Ok(value)
    }
}

/// A panic inside a transaction has already undone it, so the connection is as good as before.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // In KiB: the engine keeps its records in memory itself.
    connection.pragma_update(None, "cache_size", -256)?;
    Ok(connection)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NUMBERS: Table<u32> = Table::new("numbers", 1);
    const WORDS: Table<String> = Table::new("words", 1);

    fn database() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&folder.path().join("test.db")).unwrap();
        (folder, db)
    }

    #[test]
    fn a_transaction_is_all_or_nothing() {
        let (_folder, db) = database();
        db.write(|tx| NUMBERS.put(tx, "one", &1)).unwrap();
        let failed: Result<()> = db.write(|tx| {
            NUMBERS.put(tx, "two", &2)?;
            WORDS.put(tx, "two", &"zwei".to_owned())?;
            Err(Error::Document {
                table: "words",
                key: "two".into(),
                source: serde_json::from_str::<u32>("x").unwrap_err(),
            })
        });
        failed.unwrap_err();
        db.read(|tx| {
            assert_eq!(NUMBERS.entries(tx)?, [("one".to_owned(), 1)]);
            assert_eq!(WORDS.get(tx, "two")?, None);
            Ok::<_, Error>(())
        })
        .unwrap();
    }

    #[test]
    fn tables_are_apart_and_prefixes_match_literally() {
        let (_folder, db) = database();
        db.write(|tx| {
            for (key, number) in [("a%", 1), ("a%b", 2), ("ab", 3), ("b", 4)] {
                NUMBERS.put(tx, key, &number)?;
            }
            WORDS.put(tx, "a%c", &"other table".to_owned())
        })
        .unwrap();
        let found = db.read(|tx| NUMBERS.prefix(tx, "a%")).unwrap();
        assert_eq!(found, [("a%".to_owned(), 1), ("a%b".to_owned(), 2)]);
    }

    #[test]
    fn a_read_inside_a_write_sees_the_committed_state() {
        let (_folder, db) = database();
        db.write(|tx| {
            NUMBERS.put(tx, "n", &1)?;
            assert_eq!(NUMBERS.get(tx, "n")?, Some(1));
            assert_eq!(db.read(|tx| NUMBERS.get(tx, "n"))?, None);
            Ok::<_, Error>(())
        })
        .unwrap();
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let (folder, db) = database();
        db.write(|tx| NUMBERS.put(tx, "n", &7)).unwrap();
        db.write_durably(|tx| NUMBERS.put(tx, "m", &8)).unwrap();
        drop(db);
        let db = Db::open(&folder.path().join("test.db")).unwrap();
        assert_eq!(db.read(|tx| NUMBERS.all(tx)).unwrap(), [8, 7]);
    }

    #[test]
    fn foreign_and_newer_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.db");
        std::fs::write(&path, "this is no database, but long enough to be taken for one by its size")
            .unwrap();
        assert!(Db::open(&path).unwrap_err().to_string().contains("bad.db"));
        let path = folder.path().join("newer.db");
        drop(Db::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Db::open(&path), Err(Error::Newer { found: 99, .. })));
    }
}

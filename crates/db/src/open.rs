//! How the file is opened: pragmas, format check, lock.

use std::fs::{File, TryLockError};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::{Error, Result};

/// Marks the file as ours ("whrf"), so that another program's database is not taken for one.
const APPLICATION_ID: i32 = 0x7768_7266;
/// Format of the two tables below, not of the documents in them.
const FORMAT: i32 = 1;

const SCHEMA: &str = "
CREATE TABLE documents (
  tbl TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, doc TEXT NOT NULL,
  PRIMARY KEY (tbl, key)
) STRICT;
CREATE TABLE indexes (
  tbl TEXT NOT NULL, idx TEXT NOT NULL, value TEXT NOT NULL, key TEXT NOT NULL,
  PRIMARY KEY (tbl, idx, value, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX indexes_by_key ON indexes (tbl, key);
";

/// Takes the lock that keeps a second process away. SQLite's own locks would let two writers take turns.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push("-lock");
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Opens the writing connection; makes the tables in a new file and checks an old one.
pub(crate) fn writer(path: &Path) -> Result<Connection> {
    let sql = |source| Error::sqlite(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(path, flags).map_err(sql)?;
    tune(&conn).map_err(sql)?;
    let format: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(sql)?;
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(sql)?;
    let tables: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    if tables == 0 && application == 0 {
        create(&conn).map_err(sql)?;
        return Ok(conn);
    }
    if application != APPLICATION_ID {
        return Err(corrupt(path, "it belongs to another program".to_owned()));
    }
    if format > FORMAT {
        return Err(Error::NewerFormat { path: path.to_owned(), found: format, supported: FORMAT });
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sql)?;
    if verdict != "ok" {
        return Err(corrupt(path, verdict));
    }
    Ok(conn)
}

/// Opens a reading connection.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(path, flags)?;
    // Lists follow an index from row to row: with less, they read the pages of a thousand records again and again.
    conn.execute_batch("PRAGMA query_only=ON; PRAGMA cache_size=-1024; PRAGMA busy_timeout=10000;")?;
    Ok(conn)
}

/// Moves the log into the file, on a connection of its own. Never blocks the writer.
pub(crate) fn checkpoint(path: &Path) -> rusqlite::Result<()> {
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // The log is reset by the next writer only if it was moved completely; syncing here keeps that off its path.
    conn.execute_batch("PRAGMA synchronous=NORMAL; PRAGMA cache_size=-64; PRAGMA wal_checkpoint(PASSIVE);")
}

/// Sizes in bytes from which shrinking the file and the log pays.
const SPARE: i64 = 256 << 10;
const LOG: u64 = 512 << 10;

/// Shrinks the file if much of it is unused, and the log to nothing if it is long. A reader at work keeps the log as it
/// is; it is not waited for.
pub(crate) fn compact(conn: &Connection, path: &Path) -> rusqlite::Result<()> {
    let number = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let spare = number("PRAGMA freelist_count")? * number("PRAGMA page_size")?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if spare < SPARE && std::fs::metadata(log).map_or(0, |log| log.len()) < LOG {
        return Ok(());
    }
    conn.execute_batch("PRAGMA busy_timeout=0")?;
    let vacuumed = if spare < SPARE { Ok(()) } else { conn.execute_batch("VACUUM") };
    let truncated = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    conn.execute_batch("PRAGMA busy_timeout=10000")?;
    vacuumed.and(truncated)
}

fn tune(conn: &Connection) -> rusqlite::Result<()> {
    // Checkpoints sync, so they are not left to whichever commit is the thousandth: see `Db::committed`.
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;
         PRAGMA journal_size_limit=8388608; PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY;
         PRAGMA busy_timeout=10000; PRAGMA trusted_schema=OFF;",
    )?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn create(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; COMMIT;"
    ))
}

fn corrupt(path: &Path, reason: String) -> Error {
    Error::Corrupt { path: path.to_owned(), reason }
}

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result, Tx, View};

/// Turns a document of an older version into one of the table's version.
pub type Migrate = fn(from: u32, document: Value) -> serde_json::Result<Value>;

/// A second key of a table's documents.
pub struct Index<V> {
    name: &'static str,
    unique: bool,
    values: fn(&V) -> Vec<String>,
}

impl<V> Index<V> {
    /// An index whose values belong to at most one document. `values` gives the values of a document, often just one.
    pub const fn unique(name: &'static str, values: fn(&V) -> Vec<String>) -> Self {
        Self { name, unique: true, values }
    }

    /// An index whose values may be shared.
    pub const fn shared(name: &'static str, values: fn(&V) -> Vec<String>) -> Self {
        Self { name, unique: false, values }
    }
}

/// A named collection of JSON documents under text keys. Declare it as a constant.
///
/// Every stored document carries the version it was written with. Documents of older versions pass through the
/// migration when they are read; those of newer ones are an error.
pub struct Table<V: 'static> {
    name: &'static str,
    version: u32,
    indexes: &'static [Index<V>],
    migrate: Option<Migrate>,
}

impl<V: Serialize + DeserializeOwned> Table<V> {
    /// A table called `name` (unique in the database) whose documents are written with `version`.
    pub const fn new(name: &'static str, version: u32) -> Self {
        Self { name, version, indexes: &[], migrate: None }
    }

    /// The table with these indexes.
    pub const fn indexes(mut self, indexes: &'static [Index<V>]) -> Self {
        self.indexes = indexes;
        self
    }

    /// The table with a migration for older documents. Without one, older documents are read as they are.
    pub const fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = Some(migrate);
        self
    }

    /// The document under `key`.
    pub fn get(&self, view: &View<'_>, key: &str) -> Result<Option<V>> {
        let row =
            view.one("SELECT key, version, doc FROM documents WHERE tbl=?1 AND key=?2", [self.name, key])?;
        row.map(|row| self.decode(view, row).map(|(_, document)| document)).transpose()
    }

    /// Whether there is a document under `key`.
    pub fn contains(&self, view: &View<'_>, key: &str) -> Result<bool> {
        let mut statement = view.prepare("SELECT 1 FROM documents WHERE tbl=?1 AND key=?2")?;
        statement.exists([self.name, key]).map_err(|source| view.error(source))
    }

    /// All documents with their keys, ordered by key.
    pub fn list(&self, view: &View<'_>) -> Result<Vec<(String, V)>> {
        let mut statement =
            view.prepare("SELECT key, version, doc FROM documents WHERE tbl=?1 ORDER BY key")?;
        let mut rows = statement.query([self.name]).map_err(|source| view.error(source))?;
        let mut list = Vec::new();
        while let Some(row) = rows.next().map_err(|source| view.error(source))? {
            list.push(self.decode_row(view, row)?);
        }
        Ok(list)
    }

    /// All keys, in order.
    pub fn keys(&self, view: &View<'_>) -> Result<Vec<String>> {
        view.strings("SELECT key FROM documents WHERE tbl=?1 ORDER BY key", params![self.name])
    }

    /// The number of documents.
    pub fn count(&self, view: &View<'_>) -> Result<u64> {
        let mut statement = view.prepare("SELECT count(*) FROM documents WHERE tbl=?1")?;
        let count = statement.query_row([self.name], |row| row.get::<_, i64>(0));
        count.map(i64::unsigned_abs).map_err(|source| view.error(source))
    }

    /// The keys that start with `prefix`, in order, at most `limit` of them: with 2, enough to tell none, one and
    /// several apart.
    pub fn keys_with_prefix(&self, view: &View<'_>, prefix: &str, limit: usize) -> Result<Vec<String>> {
        view.strings(
            "SELECT key FROM documents WHERE tbl=?1 AND key>=?2 AND key<?3 ORDER BY key LIMIT ?4",
            params![self.name, prefix, after_prefix(prefix), limit as i64],
        )
    }

    /// The first document with `value` in `index`, which must be one of the table's.
    pub fn find(&self, view: &View<'_>, index: &Index<V>, value: &str) -> Result<Option<(String, V)>> {
        Ok(self.find_up_to(view, index, value, 1)?.pop())
    }

    /// All documents with `value` in `index`, ordered by key.
    pub fn find_all(&self, view: &View<'_>, index: &Index<V>, value: &str) -> Result<Vec<(String, V)>> {
        self.find_up_to(view, index, value, i64::MAX)
    }

    /// The keys of the documents with `value` in `index`, ordered.
    pub fn find_keys(&self, view: &View<'_>, index: &Index<V>, value: &str) -> Result<Vec<String>> {
        view.strings(
            "SELECT key FROM indexes WHERE tbl=?1 AND idx=?2 AND value=?3 ORDER BY key",
            params![self.name, index.name, value],
        )
    }

    /// Writes the document under `key`, new or not. [`Error::Duplicate`] if another one has a unique value of its.
    pub fn put(&self, tx: &mut Tx<'_>, key: &str, document: &V) -> Result<()> {
        self.index(tx, key, document)?;
        let text = serde_json::to_string(document).map_err(|source| self.record_error(key, source))?;
        let mut statement = tx.prepare(
            "INSERT INTO documents (tbl, key, version, doc) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tbl, key) DO UPDATE SET version=excluded.version, doc=excluded.doc",
        )?;
        statement.execute(params![self.name, key, self.version, text]).map_err(|e| tx.error(e))?;
        Ok(())
    }

    /// Writes the document under a `key` that must be free, else [`Error::Duplicate`] with `key` as index.
    pub fn insert(&self, tx: &mut Tx<'_>, key: &str, document: &V) -> Result<()> {
        if self.contains(tx, key)? {
            return Err(self.duplicate("key", key.to_owned(), key.to_owned()));
        }
        self.put(tx, key, document)
    }

    /// Removes the document under `key` and says whether there was one.
    pub fn delete(&self, tx: &mut Tx<'_>, key: &str) -> Result<bool> {
        tx.execute("DELETE FROM indexes WHERE tbl=?1 AND key=?2", [self.name, key])?;
        Ok(tx.execute("DELETE FROM documents WHERE tbl=?1 AND key=?2", [self.name, key])? > 0)
    }

    fn find_up_to(
        &self,
        view: &View<'_>,
        index: &Index<V>,
        value: &str,
        limit: i64,
    ) -> Result<Vec<(String, V)>> {
        let rows = view.all(
            "SELECT d.key, d.version, d.doc FROM indexes i JOIN documents d ON d.tbl=i.tbl AND d.key=i.key
             WHERE i.tbl=?1 AND i.idx=?2 AND i.value=?3 ORDER BY i.key LIMIT ?4",
            params![self.name, index.name, value, limit],
        )?;
        rows.into_iter().map(|row| self.decode(view, row)).collect()
    }

    /// Brings the index entries of `key` to those of `document`, touching only what differs.
    fn index(&self, tx: &Tx<'_>, key: &str, document: &V) -> Result<()> {
        if self.indexes.is_empty() {
            return Ok(());
        }
        let mut old = tx.pairs("SELECT idx, value FROM indexes WHERE tbl=?1 AND key=?2", [self.name, key])?;
        for index in self.indexes {
            for value in (index.values)(document) {
                if let Some(at) = old.iter().position(|(name, old)| name == index.name && *old == value) {
                    old.swap_remove(at);
                    continue;
                }
                if index.unique
                    && let Some(holder) = self.find_keys(tx, index, &value)?.into_iter().find(|k| k != key)
                {
                    return Err(self.duplicate(index.name, value, holder));
                }
                tx.execute(
                    "INSERT OR IGNORE INTO indexes (tbl, idx, value, key) VALUES (?1, ?2, ?3, ?4)",
                    [self.name, index.name, &value, key],
                )?;
            }
        }
        for (index, value) in old {
            tx.execute(
                "DELETE FROM indexes WHERE tbl=?1 AND idx=?2 AND value=?3 AND key=?4",
                [self.name, &index, &value, key],
            )?;
        }
        Ok(())
    }

    /// Decodes a row where it lies: long lists are not copied first.
    fn decode_row(&self, view: &View<'_>, row: &Row<'_>) -> Result<(String, V)> {
        let parts = || Ok((row.get(0)?, row.get(1)?, row.get_ref(2)?.as_str()?));
        let (key, version, text) = parts().map_err(|source: rusqlite::Error| view.error(source))?;
        self.decode_text(view, key, version, text)
    }

    fn decode(&self, view: &View<'_>, (key, version, text): Stored) -> Result<(String, V)> {
        self.decode_text(view, key, version, &text)
    }

    fn decode_text(&self, view: &View<'_>, key: String, version: u32, text: &str) -> Result<(String, V)> {
        if version > self.version {
            let (path, table, supported) = (view.path.to_owned(), self.name, self.version);
            return Err(Error::NewerRecord { path, table, key, found: version, supported });
        }
        let document = match self.migrate {
            Some(migrate) if version < self.version => serde_json::from_str(text)
                .and_then(|document| migrate(version, document))
                .and_then(serde_json::from_value),
            _ => serde_json::from_str(text),
        };
        match document {
            Ok(document) => Ok((key, document)),
            Err(source) => Err(self.record_error(&key, source)),
        }
    }

    fn record_error(&self, key: &str, source: serde_json::Error) -> Error {
        Error::Record { table: self.name, key: key.to_owned(), source }
    }

    fn duplicate(&self, index: &'static str, value: String, holder: String) -> Error {
        Error::Duplicate { table: self.name, index, value, holder }
    }
}

/// Key, version and text of a document.
type Stored = (String, u32, String);

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// The first text after all that start with `prefix`.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

impl View<'_> {
    fn prepare(&self, sql: &str) -> Result<rusqlite::CachedStatement<'_>> {
        self.conn.prepare_cached(sql).map_err(|source| self.error(source))
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        self.prepare(sql)?.execute(params).map_err(|source| self.error(source))
    }

    fn one(&self, sql: &str, params: impl rusqlite::Params) -> Result<Option<Stored>> {
        self.prepare(sql)?.query_row(params, stored).optional().map_err(|source| self.error(source))
    }

    fn all(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Stored>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params, stored).and_then(Iterator::collect);
        rows.map_err(|source| self.error(source))
    }

    fn strings(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<String>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params, |row| row.get(0)).and_then(Iterator::collect);
        rows.map_err(|source| self.error(source))
    }

    fn pairs(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<(String, String)>> {
        let mut statement = self.prepare(sql)?;
        let rows =
            statement.query_map(params, |row| Ok((row.get(0)?, row.get(1)?))).and_then(Iterator::collect);
        rows.map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> Error {
        Error::sqlite(self.path, source)
    }
}

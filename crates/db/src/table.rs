//! Typed sets of JSON documents.

use std::marker::PhantomData;

use rusqlite::{OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result, Tx};

/// A set of documents of type `T`, keyed by text.
///
/// New fields of `T` need no new version if they have defaults; the version only keeps an older program from reading
/// what it would misunderstand.
#[derive(Debug)]
pub struct Table<T> {
    name: &'static str,
    version: u32,
    documents: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    /// Declares the table `name` whose documents have this version.
    pub const fn new(name: &'static str, version: u32) -> Self {
        Table { name, version, documents: PhantomData }
    }

    /// The document at `key`.
    ///
    /// # Errors
    /// The database fails, or the document is not of this type.
    pub fn get(&self, tx: &Tx<'_>, key: &str) -> Result<Option<T>> {
        let mut statement = tx
            .connection
            .prepare_cached("SELECT key, version, body FROM documents WHERE \"table\" = ?1 AND key = ?2")
            .map_err(Error::at(tx.path))?;
        let found =
            statement.query_row(params![self.name, key], columns).optional().map_err(Error::at(tx.path))?;
        found.map(|row| self.parse(row).map(|(_, document)| document)).transpose()
    }

    /// Writes the document at `key`, over one that is there.
    ///
    /// # Errors
    /// The database fails.
    pub fn put(&self, tx: &mut Tx<'_>, key: &str, document: &T) -> Result<()> {
        let body = serde_json::to_string(document).map_err(|source| Error::Document {
            table: self.name,
            key: key.to_owned(),
            source,
        })?;
        tx.connection
            .prepare_cached("INSERT OR REPLACE INTO documents VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut statement| statement.execute(params![self.name, key, self.version, body]))
            .map_err(Error::at(tx.path))?;
        Ok(())
    }

    /// Deletes the document at `key`; whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub fn delete(&self, tx: &mut Tx<'_>, key: &str) -> Result<bool> {
        let deleted = tx
            .connection
            .prepare_cached("DELETE FROM documents WHERE \"table\" = ?1 AND key = ?2")
            .and_then(|mut statement| statement.execute(params![self.name, key]))
            .map_err(Error::at(tx.path))?;
        Ok(deleted > 0)
    }

    /// All documents in the order of their keys.
    ///
    /// # Errors
    /// The database fails, or a document is not of this type.
    pub fn all(&self, tx: &Tx<'_>) -> Result<Vec<T>> {
        Ok(self.entries(tx)?.into_iter().map(|(_, document)| document).collect())
    }

    /// All keys and documents in the order of the keys.
    ///
    /// # Errors
    /// The database fails, or a document is not of this type.
    pub fn entries(&self, tx: &Tx<'_>) -> Result<Vec<(String, T)>> {
        self.prefix(tx, "")
    }

    /// The keys that begin with `prefix` and their documents, in the order of the keys.
    ///
    /// # Errors
    /// The database fails, or a document is not of this type.
    pub fn prefix(&self, tx: &Tx<'_>, prefix: &str) -> Result<Vec<(String, T)>> {
        let mut statement = tx
            .connection
            .prepare_cached(
                "SELECT key, version, body FROM documents WHERE \"table\" = ?1 AND key >= ?2 ORDER BY key",
            )
            .map_err(Error::at(tx.path))?;
        let rows = statement.query_map(params![self.name, prefix], columns).map_err(Error::at(tx.path))?;
        let mut found = Vec::new();
        for row in rows {
            let row = row.map_err(Error::at(tx.path))?;
            if !row.0.starts_with(prefix) {
                break;
            }
            found.push(self.parse(row)?);
        }
        Ok(found)
    }

    fn parse(&self, (key, version, body): (String, u32, String)) -> Result<(String, T)> {
        if version > self.version {
            return Err(Error::NewerDocument { table: self.name, key, found: version, known: self.version });
        }
        match serde_json::from_str(&body) {
            Ok(document) => Ok((key, document)),
            Err(source) => Err(Error::Document { table: self.name, key, source }),
        }
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<(String, u32, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

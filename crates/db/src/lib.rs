//! Typed tables and transactions over one SQLite file. Knows no record types.
//!
//! - [`Db`]: the file; [`Db::write`] runs a transaction, [`Db::read`] looks at a consistent view
//! - [`Tx`], [`View`]: what such a function is given; tables take them
//! - [`Table`]: a named collection of JSON documents, declared as a constant by the crate that owns the record type
//! - [`Index`]: a second key of a table's documents, unique or not
//! - [`Error`]: what can go wrong, with the file or record it concerns
//!
//! One connection writes, behind a mutex; readers come from a small pool and never wait for the writer (WAL). A commit
//! of [`Durability::Normal`] survives the death of the process but possibly not of the machine;
//! [`Durability::Full`] syncs, and with it everything committed before.
//!
//! ```no_run
//! # fn main() -> Result<(), wharf_db::Error> {
//! use wharf_db::{Db, Index, Table};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Person {
//!     name: String,
//! }
//!
//! const NAME: Index<Person> = Index::unique("name", |person| vec![person.name.clone()]);
//! const PEOPLE: Table<Person> = Table::new("people", 1).indexes(&[NAME]);
//!
//! # let folder = tempfile::tempdir().map_err(|e| wharf_db::Error::Io { path: "/tmp".into(), source: e })?;
//! let db = Db::open(folder.path().join("people.db"))?;
//! db.write(|tx| PEOPLE.put(tx, "1", &Person { name: "Ada".into() }))?;
//! let found = db.read(|view| PEOPLE.find(view, &NAME, "Ada"))?;
//! assert_eq!(found.map(|(key, _)| key), Some("1".to_owned()));
//! # Ok(())
//! # }
//! ```

mod db;
mod error;
mod open;
mod table;
mod tx;

pub use db::{Db, Durability};
pub use error::{Error, Result};
pub use table::{Index, Migrate, Table};
pub use tx::{Tx, View};

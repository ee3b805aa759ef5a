//! Typed tables and transactions over one SQLite file.

//! Caches that builds share by a registry or a folder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A cache that a build takes from or gives to, as `--cache-from` and `--cache-to` have it. A folder (`local`) is the
/// client's and is known by its place in the list; the engine sees no path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheEntry {
    /// `registry`, `local`, `inline`.
    pub kind: String,
    /// Everything else: `ref`, `mode`, `tag`, `ignore-error`, …
    pub attributes: BTreeMap<String, String>,
}

//! What a prune may take and when it has taken enough. Pure functions.

use jiff::Timestamp;
use wharf_api::{Filters, system::BuildCache};

use super::row::Row;
use crate::{Error, Result};

/// How much of the cache is kept, in bytes; what is 0 was not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// So much stays in any case.
    pub reserved: u64,
    /// No more than this stays.
    pub max_used: u64,
    /// So much of the disk is to be free afterwards.
    pub min_free: u64,
}

impl Budget {
    /// Size down to which a cache of `total` bytes shrinks on a disk with `free` bytes; `None` if nothing is kept.
    pub(super) fn keep(self, total: u64, free: u64) -> Option<u64> {
        if self == Self::default() {
            return None;
        }
        // Who asked only for free space wants the rest left alone.
        let limit = if self.min_free > 0 && self.max_used == 0 { total } else { self.max_used };
        let lacking = self.min_free.saturating_sub(free);
        Some(limit.min(total.saturating_sub(lacking)).max(self.reserved))
    }
}

/// The filters of a prune, read once.
pub(super) struct Rule<'a> {
    filters: &'a Filters,
    before: Option<Timestamp>,
}

impl<'a> Rule<'a> {
    /// # Errors
    /// 400 for a filter that does not exist or has a bad value.
    pub(super) fn new(filters: &'a Filters, now: Timestamp) -> Result<Self> {
        for name in filters.keys() {
            match name {
                "id" | "parent" | "type" | "description" if filters.get(name).count() > 1 => {
                    return Err(Error::invalid("filters expect only one value"));
                }
                "id" | "parent" | "type" | "description" | "inuse" | "mutable" | "immutable" | "shared"
                | "private" | "until" | "unused-for" => {}
                // compat: `system prune` hands its filters to every kind of object, and this one has no labels.
                "label" | "label!" => {}
                other => return Err(Error::invalid(format!("invalid filter '{other}'"))),
            }
        }
        let before = crate::image::until(filters, "unused-for", now)?;
        let until = crate::image::until(filters, "until", now)?;
        Ok(Self { filters, before: before.into_iter().chain(until).min() })
    }

    pub(super) fn fits(&self, row: &Row) -> bool {
        let old = self.before.is_none_or(|before| row.last_used <= before);
        old && self.filters.keys().all(|name| {
            let value = self.filters.get(name).next().unwrap_or_default();
            fits(&row.document, name, value)
        })
    }
}

fn fits(document: &BuildCache, name: &str, value: &str) -> bool {
    let mutable = document.kind != "regular";
    match name {
        "id" => document.id.contains(value.trim_end_matches('*')),
        "parent" => document.parents.iter().any(|parent| parent == value),
        "type" => document.kind == value,
        "description" => document.description.contains(value),
        "inuse" => document.in_use,
        "mutable" => mutable,
        "immutable" => !mutable,
        "shared" => document.shared,
        "private" => !document.shared,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets() {
        let keep = |reserved, max_used, min_free| Budget { reserved, max_used, min_free }.keep(100, 10);
        assert_eq!(keep(0, 0, 0), None, "nothing said, nothing kept");
        assert_eq!(keep(30, 0, 0), Some(30));
        assert_eq!(keep(0, 40, 0), Some(40));
        assert_eq!(keep(50, 40, 0), Some(50), "what is reserved stays whatever else is said");
        assert_eq!(keep(0, 0, 10), Some(100), "so much is free");
        assert_eq!(keep(0, 0, 25), Some(85));
        assert_eq!(keep(90, 0, 25), Some(90));
        assert_eq!(keep(0, 95, 25), Some(85));
        assert_eq!(keep(0, 0, 1000), Some(0));
    }

    #[test]
    fn filters_are_checked() {
        let wrong = |name: &str, values: &[&str]| {
            let mut filters = Filters::default();
            values.iter().for_each(|value| filters.add(name, *value));
            Rule::new(&filters, Timestamp::now()).err().map(|error| error.to_string())
        };
        assert_eq!(wrong("bogus", &["x"]).as_deref(), Some("invalid filter 'bogus'"));
        assert_eq!(wrong("id", &["a", "b"]).as_deref(), Some("filters expect only one value"));
        assert!(wrong("until", &["24h"]).is_none());
        assert!(wrong("until", &["x"]).is_some());
    }

    #[test]
    fn filters_select() {
        let document = BuildCache {
            id: "abcdef".to_owned(),
            parents: vec!["p".to_owned()],
            kind: "exec.cachemount".to_owned(),
            description: "cached mount /c".to_owned(),
            ..BuildCache::default()
        };
        for (name, value, expected) in [
            ("id", "abc", true),
            ("id", "x", false),
            ("parent", "p", true),
            ("type", "regular", false),
            ("type", "exec.cachemount", true),
            ("description", "/c", true),
            ("shared", "", false),
            ("private", "", true),
            ("mutable", "", true),
            ("inuse", "", false),
        ] {
            assert_eq!(fits(&document, name, value), expected, "{name}={value}");
        }
    }
}

//! The build cache as others see it: what is in it, and making room.

use std::{collections::HashSet, fs, path::Path, sync::atomic::Ordering};

use jiff::{SignedDuration, Timestamp};
use wharf_api::{Filters, system::BuildCache, time};
use wharf_oci::Digest;
use wharf_store::CacheRecord;

use crate::{Engine, Error, Result};

/// The cache may take this part of the disk.
const PART_OF_DISK: u64 = 10;
/// It may always take so many bytes.
const SMALLEST_BUDGET: u64 = 2 << 30;

/// What `builder prune` may remove.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Also what an image uses.
    pub all: bool,
    /// Bytes of cache that are kept, the most recently used of it; nothing if 0.
    pub keep_bytes: u64,
    /// `id`, `until`, `unused-for`, `description`, `inuse`, `shared`, `private`, `type`.
    pub filters: Filters,
}

/// A record of the cache with what it takes.
struct Row {
    key: Digest,
    record: CacheRecord,
    /// An image or container uses its layer too.
    shared: bool,
}

impl Engine {
    /// The records of the build cache.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn build_cache(&self) -> Result<Vec<BuildCache>> {
        let rows = self.cache_rows()?;
        let keys: HashSet<Digest> = rows.iter().map(|row| row.key.clone()).collect();
        let mut cache: Vec<_> = rows.iter().map(|row| document(row, &keys, self)).collect();
        cache.sort_by(|a, b| a.created_at.cmp(&b.created_at));
        Ok(cache)
    }

    fn cache_rows(&self) -> Result<Vec<Row>> {
        self.db.read(|view| {
            let cache = self.store.cache();
            let row = |(key, record): (Digest, CacheRecord)| {
                let shared = match record.chains.last() {
                    Some(chain) => cache.is_shared(view, chain)?,
                    None => false,
                };
                Ok(Row { key, record, shared })
            };
            cache.list(view)?.into_iter().map(row).collect()
        })
    }

    /// Removes records of the build cache; returns their ids and the bytes freed. What a running build uses stays.
    ///
    /// # Errors
    /// 400 for a filter that does not exist or has a bad value.
    pub fn prune_build_cache(&self, options: &PruneOptions) -> Result<(Vec<String>, u64)> {
        let mut rows = self.cache_rows()?;
        // The least recently used goes first, and of one build the last step before what it stands on.
        rows.sort_by_key(|row| (row.record.last_used, std::cmp::Reverse(row.record.chains.len())));
        let mut total: u64 = rows.iter().map(|row| row.record.size).sum();
        let (mut removed, mut freed) = (Vec::new(), 0);
        let now = Timestamp::now();
        for row in rows {
            if options.keep_bytes > 0 && total <= options.keep_bytes {
                break;
            }
            let spared = row.shared && !options.all;
            if spared || self.builder.claims.is_claimed(&row.key) || !matches(&row, options, now)? {
                continue;
            }
            if self.db.write(|tx| Ok::<_, Error>(self.store.cache().remove(tx, &row.key)?))? {
                removed.push(short(&row.key));
                total -= row.record.size;
                // What an image uses too is not freed by this.
                freed += if row.shared { 0 } else { row.record.size };
            }
        }
        if options.all && options.keep_bytes == 0 && options.filters.is_empty() {
            freed += self.remove_caches();
        }
        self.housekeeper.soon();
        Ok((removed, freed))
    }

    /// Removes what was used least recently from a cache that has become too large: more than a tenth of the disk.
    pub(super) fn trim_build_cache(&self) -> Result<()> {
        let folder = &self.paths.data_root;
        let disk = rustix::fs::statvfs(folder).map_err(|errno| Error::io("statfs", folder, errno.into()))?;
        let budget = (disk.f_blocks * disk.f_frsize / PART_OF_DISK).max(SMALLEST_BUDGET);
        let records = self.db.read(|view| self.store.cache().list(view))?;
        if records.iter().map(|(_, record)| record.size).sum::<u64>() > budget {
            self.prune_build_cache(&PruneOptions {
                all: true,
                keep_bytes: budget,
                ..PruneOptions::default()
            })?;
        }
        Ok(())
    }

    /// Removes the folders of cache mounts and what is kept of clients' folders, unless a build runs that may use them;
    /// returns their size.
    fn remove_caches(&self) -> u64 {
        if self.builder.running.load(Ordering::SeqCst) > 0 {
            return 0;
        }
        self.remove_cache(&self.paths.caches()) + self.remove_cache(&self.paths.contexts())
    }

    fn remove_cache(&self, folder: &Path) -> u64 {
        let size = crate::disk::folder_size(folder, &mut HashSet::new());
        match fs::exists(folder).map_or(Ok(()), |there| if there { self.discard(folder) } else { Ok(()) }) {
            Ok(()) => size,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "stays");
                0
            }
        }
    }
}

/// The id that is shown: 25 characters, as the reference builder's are.
fn short(key: &Digest) -> String {
    key.hex()[..25].to_owned()
}

fn document(row: &Row, keys: &HashSet<Digest>, engine: &Engine) -> BuildCache {
    let record = &row.record;
    BuildCache {
        id: short(&row.key),
        parents: record.parent.iter().filter(|parent| keys.contains(parent)).map(short).collect(),
        kind: "regular".to_owned(),
        description: record.description.clone(),
        in_use: engine.builder.claims.is_claimed(&row.key),
        shared: row.shared,
        size: i64::try_from(record.size).unwrap_or(i64::MAX),
        created_at: time::rfc3339_nano(record.created),
        last_used_at: Some(time::rfc3339_nano(record.last_used)),
        usage_count: i64::try_from(record.uses).unwrap_or(i64::MAX),
    }
}

fn matches(row: &Row, options: &PruneOptions, now: Timestamp) -> Result<bool> {
    for name in options.filters.keys() {
        let values: Vec<_> = options.filters.get(name).collect();
        let any = |test: &dyn Fn(&str) -> bool| values.iter().any(|value| test(value));
        let fits = match name {
            "id" => any(&|value| short(&row.key).starts_with(value)),
            "description" => any(&|value| row.record.description.contains(value)),
            "type" => any(&|value| value == "regular"),
            "shared" => row.shared,
            "private" => !row.shared,
            "inuse" => false,
            "until" | "unused-for" => {
                let mut fits = true;
                for value in &values {
                    fits &= row.record.last_used <= now - age(value)?;
                }
                fits
            }
            // compat: `system prune` hands its filters to every kind of object, and this one has no labels.
            "label" | "label!" => true,
            other => return Err(Error::invalid(format!("invalid filter '{other}'"))),
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A span in Go's notation.
fn age(text: &str) -> Result<SignedDuration> {
    let bad = || Error::invalid(format!("time: invalid duration {text:?}"));
    let mut total = SignedDuration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(bad()),
        };
        rest = &rest[letters..];
        total += SignedDuration::try_from_secs_f64(number * seconds).map_err(|_| bad())?;
    }
    if text.is_empty() { Err(bad()) } else { Ok(total) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        assert_eq!(age("1h30m").unwrap().as_secs(), 5400);
        assert_eq!(age("1.5s").unwrap().as_millis(), 1500);
        assert_eq!(age("x").unwrap_err().to_string(), "time: invalid duration \"x\"");
        assert!(age("").is_err() && age("5").is_err());
    }
}

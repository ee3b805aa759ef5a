//! What the build cache consists of: results of steps, folders of cache mounts, files of clients.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use wharf_api::{system::BuildCache, time};
use wharf_oci::Digest;

use super::size;
use crate::{Engine, Error, Paths, Result};

/// Digits of an id that are shown, as many as the reference builder's have.
const SHOWN: usize = 25;

/// Something in the cache.
#[derive(Clone)]
pub(super) struct Row {
    /// What is shown of it.
    pub(super) document: BuildCache,
    pub(super) place: Place,
    pub(super) last_used: Timestamp,
    /// Layers of the file system it ends in: what a step stands on has fewer.
    pub(super) depth: usize,
}

/// Where it is.
#[derive(Clone)]
pub(super) enum Place {
    /// A record, by its key.
    Step(Digest),
    /// A folder.
    Folder(PathBuf),
}

impl Row {
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.document.size).unwrap_or_default()
    }
}

impl Engine {
    /// Everything in the build cache.
    pub(super) fn cache_rows(&self) -> Result<Vec<Row>> {
        let mut rows = self.step_rows()?;
        rows.extend(folders(&self.paths, &self.builder.running));
        Ok(rows)
    }

    /// The results of steps alone, which are known without looking at files.
    pub(super) fn step_rows(&self) -> Result<Vec<Row>> {
        let records = self.db.read(|view| {
            let cache = self.store.cache();
            let mut records = HashMap::new();
            for (key, record) in cache.list(view)? {
                let shared = match record.chains.last() {
                    Some(chain) => cache.is_shared(view, chain)?,
                    None => false,
                };
                records.insert(key, (record, shared));
            }
            Ok::<_, Error>(records)
        })?;
        let row = |(key, (record, shared)): (&Digest, &(wharf_store::CacheRecord, bool))| Row {
            document: BuildCache {
                id: short(key.hex()),
                parents: record
                    .parent
                    .iter()
                    .filter(|parent| records.contains_key(parent))
                    .map(|parent| short(parent.hex()))
                    .collect(),
                kind: "regular".to_owned(),
                description: record.description.clone(),
                in_use: self.builder.claims.is_claimed(key),
                shared: *shared,
                size: i64::try_from(record.size).unwrap_or(i64::MAX),
                created_at: time::rfc3339_nano(record.created),
                last_used_at: Some(time::rfc3339_nano(record.last_used)),
                usage_count: i64::try_from(record.uses).unwrap_or(i64::MAX),
            },
            place: Place::Step(key.clone()),
            last_used: record.last_used,
            depth: record.chains.len(),
        };
        Ok(records.iter().map(row).collect())
    }
}

/// The folders of cache mounts and of clients.
pub(super) fn folders(paths: &Paths, running: &AtomicUsize) -> Vec<Row> {
    let caches = folder_rows(&paths.caches(), "exec.cachemount", running);
    [caches, folder_rows(&paths.contexts(), "source.local", running)].concat()
}

/// The folders in a folder, each of which is named by a digest. One without is fine.
fn folder_rows(folder: &Path, kind: &str, running: &AtomicUsize) -> Vec<Row> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let in_use = running.load(Ordering::SeqCst) > 0;
    let row = |entry: fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
        let path = entry.path();
        let at = |time: std::io::Result<std::time::SystemTime>| {
            time.ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default()
        };
        // The note beside a cache mount is written whenever it is used; a client's folder is listed anew.
        let note = fs::metadata(super::note(&path)).or_else(|_| fs::metadata(path.join("index")));
        let last_used = note.map_or_else(|_| at(metadata.modified()), |note| at(note.modified()));
        let description = match fs::read_to_string(super::note(&path)) {
            Ok(id) => format!("cached mount {id}"),
            Err(_) if kind == "source.local" => "local source for context".to_owned(),
            Err(_) => "cached mount".to_owned(),
        };
        let size = size::of_folder(&path, last_used, running);
        let document = BuildCache {
            id: short(&entry.file_name().to_string_lossy()),
            kind: kind.to_owned(),
            description,
            in_use,
            size: i64::try_from(size).unwrap_or(i64::MAX),
            created_at: time::rfc3339_nano(at(metadata.created().or_else(|_| metadata.modified()))),
            last_used_at: Some(time::rfc3339_nano(last_used)),
            usage_count: 1,
            ..BuildCache::default()
        };
        Some(Row { document, place: Place::Folder(path), last_used, depth: 0 })
    };
    entries.flatten().filter_map(row).collect()
}

fn short(hex: &str) -> String {
    hex.chars().take(SHOWN).collect()
}

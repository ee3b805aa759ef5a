//! What an interrupted pull leaves for the next one: the beginnings of blobs, and the layers that are complete.
//!
//! A beginning is a file under `content/`, written as the blob comes in. It is not trusted: the next pull reads it as the
//! first part of the blob, and the blob's digest decides. Losing it costs a download, never a pull.

use std::collections::{HashMap, HashSet};
use std::fs::{DirEntry, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_db::{Index, Table, View};
use wharf_oci::Digest;

use crate::layer::LAYERS;
use crate::{Error, Result, Store};

/// How long an interrupted pull is waited for.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
const PREFIX: &str = "partial-";

/// Pulls that have begun and not ended, by what they pull.
pub(crate) const UNFINISHED: Table<Unfinished> = Table::new("unfinished-pulls", 1).indexes(&[BY_CHAIN]);
/// Unfinished pulls by each chain id they want.
pub(crate) const BY_CHAIN: Index<Unfinished> =
    Index::shared("layer", |pull| pull.chains.iter().map(ToString::to_string).collect());

/// A pull that has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    chains: Vec<Digest>,
    since: Timestamp,
}

/// A pull at work. Dropping it leaves to the next one what has come.
pub struct RunningPull {
    store: Store,
    name: String,
}

impl Drop for RunningPull {
    fn drop(&mut self) {
        let mut running = self.store.running();
        if let Some(count) = running.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.name);
            }
        }
    }
}

/// The beginning of a blob.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Store {
    /// Notes that a pull named `name` wants these layers. Until [`Store::pull_ended`], at most for a day, those that arrive
    /// stay stored, also when the engine ends meanwhile; while what is returned lives, nobody gives them up.
    pub fn pull_begun(&self, name: &str, chains: &[Digest]) -> Result<RunningPull> {
        let row = Unfinished { chains: chains.to_vec(), since: Timestamp::now() };
        *self.running().entry(name.to_owned()).or_default() += 1;
        let running = RunningPull { store: self.clone(), name: name.to_owned() };
        self.0.db.write(|tx| UNFINISHED.put(tx, name, &row))?;
        Ok(running)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that nobody will go on with a pull.
    pub fn pull_ended(&self, name: &str) -> Result<()> {
        self.0.db.write(|tx| UNFINISHED.delete(tx, name))?;
        Ok(())
    }

    /// What is here of a blob of the layer with this chain id, at most `size` bytes. The caller sees to it that nobody else
    /// fetches that layer.
    pub fn partial(&self, blob: &Digest, chain: &Digest, size: u64) -> Result<Partial> {
        let path = self.content_dir().join(format!("{PREFIX}{}-{}", blob.hex(), chain.short()));
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let failed = |source| Error::io("open", &path, source);
        let file = file.map_err(failed)?;
        let mut length = file.metadata().map_err(failed)?.len();
        if length > size {
            file.set_len(0).map_err(failed)?;
            length = 0;
        }
        Ok(Partial { path, file: Some(file), length })
    }

    /// Whether an unfinished pull wants a layer.
    pub(crate) fn is_awaited(&self, view: &View<'_>, chain: &str) -> Result<bool> {
        Ok(!UNFINISHED.find_keys(view, &BY_CHAIN, chain)?.is_empty())
    }

    /// Gives up what unfinished pulls left behind that nobody runs: layers that nothing else uses, and the beginnings of
    /// blobs. Returns the bytes that were.
    pub fn drop_unfinished(&self) -> Result<u64> {
        let files = self.partial_files()?;
        let (running, mut freed) = self.0.db.write(|tx| {
            let (mut running, mut freed) = (HashSet::new(), 0);
            for (name, pull) in UNFINISHED.list(tx)? {
                if self.running().contains_key(&name) {
                    running.extend(pull.chains.iter().map(|chain| chain.short().to_owned()));
                    continue;
                }
                UNFINISHED.delete(tx, &name)?;
                // The upper layers use the lower ones.
                for chain in pull.chains.iter().rev() {
                    let size = LAYERS.get(tx, chain.as_str())?.map_or(0, |record| record.info.size);
                    if self.drop_layer(tx, chain)? {
                        freed += size;
                    }
                }
            }
            Ok::<_, Error>((running, freed))
        })?;
        let wanted = |name: &str| name.rsplit_once('-').is_some_and(|(_, chain)| running.contains(chain));
        for file in files.iter().filter(|file| !wanted(&file.file_name().to_string_lossy())) {
            let size = file.metadata().map_or(0, |stat| stat.len());
            if std::fs::remove_file(file.path()).is_ok() {
                freed += size;
            }
        }
        Ok(freed)
    }

    fn partial_files(&self) -> Result<Vec<DirEntry>> {
        let folder = self.content_dir();
        let entries = std::fs::read_dir(&folder).map_err(|source| Error::io("read", &folder, source))?;
        let is_partial = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
        Ok(entries.flatten().filter(is_partial).collect())
    }

    /// Forgets what was waited for long enough.
    pub(crate) fn drop_old_partials(&self) -> Result<()> {
        let oldest = Timestamp::now().checked_sub(PATIENCE).unwrap_or(Timestamp::MIN);
        let pulls = self.0.db.read(|view| UNFINISHED.list(view))?;
        for (name, _) in pulls.iter().filter(|(_, pull)| pull.since < oldest) {
            self.pull_ended(name)?;
        }
        for entry in self.partial_files()?.iter().filter(|entry| is_old(&entry.path())) {
            let _ = std::fs::remove_file(entry.path());
        }
        Ok(())
    }
}

fn is_old(path: &Path) -> bool {
    let age = std::fs::metadata(path).and_then(|stat| stat.modified());
    age.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > PATIENCE))
}

impl Partial {
    /// How many bytes are here.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes that are here, from the first on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn reader(&self) -> io::Result<impl Read + Send + 'static> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(PrefixReader { file: file.try_clone()?, at: 0, end: self.length })
    }

    /// Adds bytes. When the disk does not take them, what is here is given up: the space is worth more to the layer itself.
    pub fn append(&mut self, bytes: &[u8]) {
        let Some(file) = &self.file else { return };
        match file.write_all_at(bytes, self.length) {
            Ok(()) => self.length += bytes.len() as u64,
            Err(error) => {
                tracing::debug!(%error, path = %self.path.display(), "a download cannot be kept for later");
                self.discard();
            }
        }
    }

    /// Deletes it: the layer is complete, or these bytes are not of it.
    pub fn discard(&mut self) {
        if let Some(file) = self.file.take() {
            // Clones of the file would keep its space.
            let _ = file.set_len(0);
            let _ = std::fs::remove_file(&self.path);
            self.length = 0;
        }
    }
}

/// Reads by position: the file itself is written to meanwhile.
struct PrefixReader {
    file: File,
    at: u64,
    end: u64,
}

impl Read for PrefixReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let got = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

//! The build cache as others see it: what is in it, and making room.
//!
//! - `row`: what there is; `size`: how large it is; `rule`: what may go

mod row;
mod rule;
mod size;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wharf_api::{Filters, system::BuildCache};

pub use self::rule::Budget;
use self::{
    row::{Place, Row},
    rule::Rule,
};
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
    /// How much is kept, the most recently used of it.
    pub budget: Budget,
    /// `id`, `parent`, `until`, `unused-for`, `description`, `inuse`, `shared`, `private`, `type`.
    pub filters: Filters,
}

impl Engine {
    /// The records of the build cache.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn build_cache(&self) -> Result<Vec<BuildCache>> {
        let mut cache: Vec<_> = self.cache_rows()?.into_iter().map(|row| row.document).collect();
        cache.sort_by(|a, b| a.created_at.cmp(&b.created_at));
        Ok(cache)
    }

    /// Removes records of the build cache; returns their ids and the bytes freed. What a running build uses stays.
    ///
    /// # Errors
    /// 400 for a filter that does not exist or has a bad value.
    pub fn prune_build_cache(&self, options: &PruneOptions) -> Result<(Vec<String>, u64)> {
        let rule = Rule::new(&options.filters, Timestamp::now())?;
        self.remove_rows(self.cache_rows()?, options, &rule)
    }

    fn remove_rows(
        &self,
        mut rows: Vec<Row>,
        options: &PruneOptions,
        rule: &Rule<'_>,
    ) -> Result<(Vec<String>, u64)> {
        // The least recently used goes first, and of one build the last step before what it stands on.
        rows.sort_by_key(|row| (row.last_used, std::cmp::Reverse(row.depth)));
        let mut total: u64 = rows.iter().map(Row::size).sum();
        let keep = options.budget.keep(total, self.disk()?.1);
        let (mut removed, mut freed) = (Vec::new(), 0);
        for row in rows {
            if keep.is_some_and(|keep| total <= keep) {
                break;
            }
            let spared = row.document.in_use || row.document.shared && !options.all;
            if spared || !rule.fits(&row) || !self.remove_row(&row.place)? {
                continue;
            }
            total -= row.size();
            // What an image uses too is not freed by this.
            freed += if row.document.shared { 0 } else { row.size() };
            removed.push(row.document.id);
        }
        self.housekeeper.soon();
        Ok((removed, freed))
    }

    fn remove_row(&self, place: &Place) -> Result<bool> {
        match place {
            Place::Step(key) if self.builder.claims.is_claimed(key) => Ok(false),
            Place::Step(key) => self.db.write(|tx| Ok::<_, Error>(self.store.cache().remove(tx, key)?)),
            Place::Folder(folder) => {
                self.discard(folder)?;
                for note in [note(folder), size::note(folder)] {
                    let _ = std::fs::remove_file(note);
                }
                Ok(true)
            }
        }
    }

    /// Measures what builds have used, on a thread of its own, so that nobody has to wait who asks for it later.
    pub(super) fn measure_build_cache(&self) {
        let (paths, running) = (self.paths.clone(), self.builder.running.clone());
        std::thread::spawn(move || row::folders(&paths, &running));
    }

    /// Removes what was used least recently from a cache that has become too large: more than a tenth of the disk.
    pub(super) fn trim_build_cache(&self) -> Result<()> {
        let max_used = (self.disk()?.0 / PART_OF_DISK).max(SMALLEST_BUDGET);
        let rows = self.step_rows()?;
        if rows.iter().map(Row::size).sum::<u64>() > max_used {
            let budget = Budget { max_used, ..Budget::default() };
            let options = PruneOptions { all: true, budget, ..PruneOptions::default() };
            self.remove_rows(rows, &options, &Rule::new(&options.filters, Timestamp::now())?)?;
        }
        Ok(())
    }

    /// Bytes of the disk that the data root is on, and how many of them are free.
    fn disk(&self) -> Result<(u64, u64)> {
        let folder = &self.paths.data_root;
        let disk = rustix::fs::statvfs(folder).map_err(|errno| Error::io("statfs", folder, errno.into()))?;
        Ok((disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize))
    }
}

/// The file beside the folder of a cache mount that has its id in it, and is as old as its last use.
pub(super) fn note(folder: &Path) -> PathBuf {
    folder.with_extension("id")
}

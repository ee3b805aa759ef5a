//! A folder of a listing into a file system: folders are made one after the other, files on all cores.

use std::{
    num::NonZero,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rustix::fs::{Mode, OFlags, openat2};

use super::{
    super::{
        place::{Attributes, finish_folder, make_folder, put_file, put_link},
        select::INSIDE,
        tree::{Kind, Tree, TreeEntry},
    },
    Copy, read_failed,
};
use crate::Result;

/// Files handed to a thread at once, and threads at most.
const BATCH: usize = 64;
const MOST_THREADS: usize = 4;

/// Something in the folder that is copied, by its path below it.
type Listed<'t> = (&'t str, &'t TreeEntry);

/// Files that go into one folder.
struct Batch<'t> {
    folder: Arc<OwnedFd>,
    files: Vec<Listed<'t>>,
}

/// The folder of a listing that is copied, and where it goes.
struct Source<'t> {
    tree: &'t Tree,
    /// Its path in the listing.
    real: &'t str,
    /// Its path in the file system, for errors.
    shown: &'t str,
}

impl Source<'_> {
    /// The path in the listing of something in the folder.
    fn whole(&self, path: &str) -> String {
        if self.real.is_empty() { path.to_owned() } else { format!("{}/{path}", self.real) }
    }
}

impl Copy<'_> {
    /// Copies what is in a folder of a listing into an open one.
    pub(super) fn tree_folder(&self, tree: &Tree, real: &str, folder: &OwnedFd, shown: &str) -> Result<()> {
        let source = Source { tree, real, shown };
        let below: Vec<_> = tree.below(real).filter(|(path, _)| !self.excludes.excludes(path)).collect();
        let paths: Vec<String> = below.iter().map(|(path, _)| source.whole(path)).collect();
        tree.fetch(paths.iter().map(String::as_str), true)?;
        drop(paths);
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        match below.len() {
            0..=BATCH => self.make(&source, &below, folder, &mut |batch| self.put(&source, &batch))?,
            _ => self.spread(&source, &below, folder, threads)?,
        }
        // Inner ones first, and all of them when nothing is made in them any more: that would change their times.
        let folders = below.iter().rev().filter(|(_, entry)| entry.kind == Kind::Folder);
        folders.into_iter().try_for_each(|(path, entry)| self.finish(folder, path, entry, shown))
    }

    /// Makes folders on this thread and files on others.
    fn spread(
        &self,
        source: &Source<'_>,
        below: &[Listed<'_>],
        folder: &OwnedFd,
        threads: usize,
    ) -> Result<()> {
        let (sender, batches) = mpsc::sync_channel(2 * threads);
        let batches = Mutex::new(batches);
        let work = || {
            let mut done = Ok(());
            let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
            // After a failure the rest is still taken, since the other side waits for that.
            while let Ok(batch) = next() {
                done = done.and_then(|()| self.put(source, &batch));
            }
            done
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let made = self.make(source, below, folder, &mut |batch| {
                // There is somebody to take it as long as there is something to be taken.
                let _ = sender.send(batch);
                Ok(())
            });
            drop(sender);
            let join = |worker: thread::ScopedJoinHandle<'_, Result<()>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().map(join).fold(made, Result::and)
        })
    }

    /// Makes the folders, and hands out what goes into them.
    fn make<'t>(
        &self,
        source: &Source<'_>,
        below: &[Listed<'t>],
        top: &OwnedFd,
        put: &mut dyn FnMut(Batch<'t>) -> Result<()>,
    ) -> Result<()> {
        let duplicate = |folder: &OwnedFd| folder.try_clone().map(Arc::new);
        let top = duplicate(top).map_err(|error| crate::Error::io("open", source.shown.as_ref(), error))?;
        let mut open: Vec<(&str, Arc<OwnedFd>)> = Vec::new();
        let mut batch = Batch { folder: Arc::clone(&top), files: Vec::new() };
        for &(path, entry) in below {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            while open.last().is_some_and(|(open, _)| *open != parent) {
                open.pop();
            }
            if open.is_empty() && !parent.is_empty() {
                // Its folder is left out, but it is not: it gets the folder all the same.
                let made = self.make_folders(&format!("{}/{parent}", source.shown))?;
                open.push((parent, Arc::new(made)));
            }
            let folder = open.last().map_or(&top, |(_, folder)| folder);
            if entry.kind == Kind::Folder {
                let (made, _) = make_folder(folder, name.as_bytes(), &format!("{}/{path}", source.shown))?;
                open.push((path, Arc::new(made)));
                continue;
            }
            if batch.files.len() == BATCH || !Arc::ptr_eq(&batch.folder, folder) {
                let next = Batch { folder: Arc::clone(folder), files: Vec::with_capacity(BATCH) };
                put(std::mem::replace(&mut batch, next))?;
            }
            batch.files.push((path, entry));
        }
        put(batch)
    }

    fn put(&self, source: &Source<'_>, batch: &Batch<'_>) -> Result<()> {
        batch.files.iter().try_for_each(|(path, entry)| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let shown = format!("{}/{path}", source.shown);
            self.tree_entry(source.tree, &source.whole(path), entry, &batch.folder, name.as_bytes(), &shown)
        })
    }

    /// Gives a folder the attributes it has in the listing.
    fn finish(&self, top: &OwnedFd, path: &str, entry: &TreeEntry, shown: &str) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat2(top, path, flags, Mode::empty(), INSIDE);
        let folder = folder.map_err(|errno| read_failed(path, errno))?;
        let found = Attributes { mode: entry.mode, uid: 0, gid: 0, mtime: self.time(entry.mtime) };
        finish_folder(&folder, &self.attributes(found, true)?, &format!("{shown}/{path}"))
    }

    /// Copies a file or link of a listing.
    pub(super) fn tree_entry(
        &self,
        tree: &Tree,
        real: &str,
        entry: &TreeEntry,
        parent: &OwnedFd,
        name: &[u8],
        shown: &str,
    ) -> Result<()> {
        let found = Attributes { mode: entry.mode, uid: 0, gid: 0, mtime: self.time(entry.mtime) };
        match entry.kind {
            Kind::File => {
                let attributes = self.attributes(found, false)?;
                put_file(parent, name, &tree.open(real)?, &attributes, shown)
            }
            Kind::Link => {
                let (uid, gid) = self.owner.unwrap_or_default();
                let attributes = Attributes { uid, gid, ..found };
                put_link(parent, name, entry.link.as_bytes(), &attributes, shown)
            }
            Kind::Folder | Kind::Other => Ok(()),
        }
    }
}

//! What is kept of a client's folder from one build to the next: its files by their digests, and which file had which
//! digest. A file is known again by path, length, times and inode, so an unchanged folder costs one listing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use rustix::fs::FileType;
use wharf_api::build::{Entry, GONE, What};
use wharf_oci::Digest;

use super::{
    archive::copy_hashed,
    session::Session,
    tree::{Contents, Kind, Tree, TreeEntry},
};
use crate::{Error, Paths, Result, ids};

/// A file that changed less than this before it was read may change again without a new time, in nanoseconds.
const RACY: i64 = 50_000_000;

/// So many files are not looked for one by one.
const MANY: usize = 100;

/// What is kept of one folder. Cloning gives another handle.
#[derive(Clone)]
pub(super) struct Kept(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// Where files are until they are whole; swept at the start of the engine.
    temp: PathBuf,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// Digests by path and stamp.
    known: HashMap<String, (Stamp, Digest)>,
    /// What this build has seen; the rest is forgotten.
    seen: HashSet<String>,
    changed: bool,
}

/// What shows that a file is unchanged.
type Stamp = (u64, (i64, u32), (u64, i64));

fn stamp(entry: &TreeEntry) -> Stamp {
    (entry.size, entry.mtime, entry.stamp)
}

impl Kept {
    /// What is kept of the folder with this identity; nothing if it cannot be read.
    pub(super) fn open(paths: &Paths, identity: &str) -> Self {
        let name = Digest::sha256(identity.as_bytes());
        let folder = paths.contexts().join(name.hex());
        let known = read_index(&folder.join("index")).unwrap_or_default();
        let index = Mutex::new(Index { known, ..Index::default() });
        Self(Arc::new(Inner { folder, temp: paths.build_temp(), index }))
    }

    /// The listing of the folder.
    pub(super) fn tree(
        &self,
        context: &str,
        entries: Vec<Entry>,
        session: Arc<Session>,
        limit: u64,
    ) -> Result<Tree> {
        for folder in [&self.0.folder, &self.0.temp] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| Error::io("mkdir", folder, error))?;
        }
        let mut tree = BTreeMap::new();
        let mut index = self.lock();
        for entry in entries {
            if entry.path.is_empty() || entry.path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(Error::invalid(format!("refusing context entry {:?}", entry.path)));
            }
            let kind = match FileType::from_raw_mode(entry.mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Folder,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            };
            index.seen.insert(entry.path.clone());
            let made = TreeEntry {
                kind,
                mode: entry.mode & 0o7777,
                size: entry.size,
                mtime: entry.mtime,
                stamp: entry.stamp,
                link: entry.link,
                ..TreeEntry::default()
            };
            if let Some((known, digest)) = index.known.get(&entry.path)
                && *known == stamp(&made)
            {
                let _ = made.digest.set(digest.clone());
            }
            tree.insert(entry.path, made);
        }
        drop(index);
        let files = Files { kept: self.clone(), context: context.to_owned(), session, limit };
        Ok(Tree::new(tree, Box::new(files)))
    }

    /// Writes down what is known, and deletes what belongs to no file any more.
    pub(super) fn settle(&self) {
        if let Err(error) = self.try_settle() {
            tracing::warn!(folder = %self.0.folder.display(), %error, "what was learned of a context is forgotten");
        }
    }

    fn try_settle(&self) -> std::io::Result<()> {
        let mut index = self.lock();
        let Index { known, seen, changed } = &mut *index;
        let before = known.len();
        known.retain(|path, _| seen.contains(path));
        if !*changed && known.len() == before {
            return Ok(());
        }
        let temp = self.0.temp.join(ids::new_id());
        let mut file = BufWriter::new(File::create(&temp)?);
        for (path, (stamp, digest)) in &*known {
            serde_json::to_writer(&mut file, &(path, stamp, digest))?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        fs::rename(&temp, self.0.folder.join("index"))?;
        let wanted: HashSet<&str> = known.values().map(|(_, digest)| digest.hex()).collect();
        for entry in fs::read_dir(&self.0.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            // What another build of the folder has just got is got again at worst.
            if name.len() == 64 && !wanted.contains(&*name.to_string_lossy()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all files that are kept.
    fn there(&self) -> Result<HashSet<OsString>> {
        let failed = |error| Error::io("read", &self.0.folder, error);
        let entries = fs::read_dir(&self.0.folder).map_err(failed)?;
        entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(failed)).collect()
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.0.folder.join(digest.hex())
    }
}

fn read_index(path: &std::path::Path) -> Option<HashMap<String, (Stamp, Digest)>> {
    let mut known = HashMap::new();
    for line in BufReader::new(File::open(path).ok()?).lines() {
        let (path, stamp, digest) = serde_json::from_str::<(String, Stamp, Digest)>(&line.ok()?).ok()?;
        known.insert(path, (stamp, digest));
    }
    Some(known)
}

impl Paths {
    /// What is kept of clients' folders.
    pub(super) fn contexts(&self) -> PathBuf {
        self.data_root.join("build").join("contexts")
    }
}

/// The contents of a client's files.
struct Files {
    kept: Kept,
    context: String,
    session: Arc<Session>,
    limit: u64,
}

impl Contents for Files {
    fn fetch(&self, files: &[(&str, &TreeEntry)], whole: bool) -> Result<()> {
        // One look at the folder is less work than one for each of many files.
        let there = (whole && files.len() > MANY).then(|| self.kept.there()).transpose()?;
        let is_there = |digest: &Digest| match &there {
            Some(there) => there.contains(OsStr::new(digest.hex())),
            None => self.kept.place(digest).exists(),
        };
        let lacking = |entry: &TreeEntry| match entry.digest.get() {
            None => true,
            Some(digest) => whole && !is_there(digest),
        };
        let wanted: Vec<_> = files.iter().filter(|(_, entry)| lacking(entry)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let paths = wanted.iter().map(|(path, _)| (*path).to_owned()).collect();
        let mut answer = self.session.ask(What::Fetch { context: self.context.clone(), paths })?;
        let mut left = self.limit;
        for (path, entry) in wanted {
            let digest = self.take(path, &mut answer, &mut left)?;
            let known = entry.digest.get_or_init(|| digest.clone());
            if *known != digest {
                return Err(Error::system(format!("{path} changed while it was read")));
            }
            let settled = Timestamp::now().as_nanosecond() - i128::from(entry.stamp.1) > i128::from(RACY);
            if settled {
                let mut index = self.kept.lock();
                index.known.insert((*path).to_owned(), (stamp(entry), digest));
                index.changed = true;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.kept.place(digest)
    }
}

impl Files {
    /// Takes the next file of an answer in.
    fn take(&self, path: &str, answer: &mut super::session::Answer, left: &mut u64) -> Result<Digest> {
        let mut size = [0; 8];
        if let Err(error) = answer.read_exact(&mut size) {
            let reason = answer.refusal().map_or_else(|| error.to_string(), str::to_owned);
            return Err(Error::system(format!("reading {path} of the context: {reason}")));
        }
        let size = u64::from_be_bytes(size);
        if size == GONE {
            return Err(super::copy::not_found(path));
        }
        if size > *left {
            return Err(Error::invalid(format!("the context exceeds the limit of {} bytes", self.limit)));
        }
        *left -= size;
        let temp = self.kept.0.temp.join(ids::new_id());
        let failed = |error| Error::io("write", &temp, error);
        let stored = (|| {
            let mut file = File::create(&temp)?;
            let (digest, got) = copy_hashed(&mut answer.take(size), &mut file, size)?;
            if got < size {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            fs::rename(&temp, self.kept.place(&digest))?;
            Ok(digest)
        })();
        if stored.is_err() {
            let _ = fs::remove_file(&temp);
        }
        stored.map_err(failed)
    }
}

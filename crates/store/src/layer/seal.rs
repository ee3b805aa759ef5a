//! The changes of a build step become a layer where they are: the folder is renamed, not copied. One walk gives the
//! digest of the tar and its recipe; hashing is on another thread than walking and opening files.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};

use rustix::fs::{Mode, OFlags};
use wharf_oci::{Algorithm, Hasher};

use super::ingest::{TempLayer, chain};
use super::recipe::RecipeWriter;
use super::settle::Settle;
use super::{LayerInfo, Lease};
use crate::snapshot::{Archive, Entries};
use crate::tar::write::Writer;
use crate::tar::{Entry, Kind, Tee};
use crate::{Error, Result, Snapshot, Store};

/// Bytes of a file hashed at once.
const PIECE: usize = 128 << 10;

/// Files of at most so many bytes are read where they are opened.
const SMALL: u64 = 64 << 10;
/// Entries between the two threads. With [`SMALL`], the bound of the memory in use.
const AHEAD: usize = 64;

impl Store {
    /// Makes the changes in a snapshot a layer over those below it. The snapshot must not be mounted and is of no use
    /// afterwards but for being removed. The lease keeps the layer until something names it. Where nothing changed, the
    /// layer is empty. Times later than `newest`, in seconds since the epoch, become that one.
    ///
    /// # Errors
    /// The folder cannot be read, or holds more than [`Limits`](crate::Limits) allow.
    pub fn seal(&self, snapshot: &Snapshot, lease: &Lease, newest: Option<i64>) -> Result<LayerInfo> {
        let temp = TempLayer::create(self)?;
        let upper = snapshot.upper();
        Settle { newest, alone: snapshot.chains.is_empty() }.apply(upper)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder =
            rustix::fs::open(upper, flags, Mode::empty()).map_err(|errno| Error::io("read", upper, errno))?;
        let recipe = RecipeWriter::create(&temp.0.join("recipe"))?;
        let mut sealed = Sealing {
            writer: Writer::new(Literals { recipe, hasher: Hasher::new(Algorithm::Sha256) }),
            buffer: vec![0; PIECE],
            size: 0,
            limit: self.limits().tar_bytes,
        };
        let (sender, entries) = sync_channel(AHEAD);
        std::thread::scope(|scope| {
            let walking =
                scope.spawn(move || Archive::with(Walked(sender)).changes(&folder, &mut Vec::new()));
            let hashed = entries.iter().try_for_each(|(entry, content)| sealed.put(&entry, content));
            // The other side has to see that nobody listens any more.
            drop(entries);
            let walked = walking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            hashed.and(walked)
        })?;
        let (size, literals) = (sealed.size, sealed.writer.finish()?);
        let diff_id = literals.hasher.finish();
        let tar_size = literals.recipe.finish()?;
        let target = temp.0.join("diff");
        std::fs::rename(upper, &target).map_err(|source| Error::io("rename", upper, source))?;
        let parent = snapshot.chains.last().cloned();
        let chain_id = chain(parent.as_ref(), &diff_id);
        lease.hold(&chain_id);
        let info = LayerInfo { chain_id, diff_id, parent, size, tar_size, origins: Vec::new() };
        self.publish(temp, info)
    }
}

/// What is in a file.
enum Content {
    None,
    Bytes(Vec<u8>),
    File(File),
}

/// Hands entries over to the thread that hashes them.
struct Walked(SyncSender<(Entry, Content)>);

impl Entries for Walked {
    fn put(&mut self, entry: &Entry, content: Option<File>) -> Result<()> {
        let content = match content.filter(|_| entry.size > 0) {
            None => Content::None,
            Some(file) if entry.size > SMALL => Content::File(file),
            Some(mut file) => {
                let mut bytes = vec![0; entry.size as usize];
                file.read_exact(&mut bytes).map_err(Error::Read)?;
                Content::Bytes(bytes)
            }
        };
        // The other side knows why it has stopped.
        self.0.send((entry.clone(), content)).map_err(|_| Error::Write(std::io::ErrorKind::BrokenPipe.into()))
    }
}

/// Takes the entries of the tar that the layer stands for.
struct Sealing {
    writer: Writer<Literals>,
    buffer: Vec<u8>,
    /// Bytes of files and links, hard-linked files once.
    size: u64,
    /// Bytes of content that are read at most.
    limit: u64,
}

impl Sealing {
    fn put(&mut self, entry: &Entry, content: Content) -> Result<()> {
        self.size += match entry.kind {
            Kind::Symlink => entry.link.len() as u64,
            _ => entry.size,
        };
        if self.size > self.limit {
            return Err(Error::Limit { what: "bytes uncompressed", limit: self.limit });
        }
        self.writer.header(entry)?;
        let literals = self.writer.get_mut();
        match content {
            Content::None => return Ok(()),
            Content::Bytes(bytes) => {
                literals.recipe.file(&entry.name, &[(0, entry.size)])?;
                literals.hasher.update(&bytes);
            }
            Content::File(file) => {
                literals.recipe.file(&entry.name, &[(0, entry.size)])?;
                let mut content = file.take(entry.size);
                let mut left = entry.size;
                while left > 0 {
                    let got = content.read(&mut self.buffer).map_err(Error::Read)?;
                    if got == 0 {
                        return Err(Error::Read(std::io::ErrorKind::UnexpectedEof.into()));
                    }
                    literals.hasher.update(&self.buffer[..got]);
                    left -= got as u64;
                }
            }
        }
        self.writer.padding(entry)
    }
}

/// Everything in the tar but the contents of files.
struct Literals {
    recipe: RecipeWriter,
    hasher: Hasher,
}

impl Write for Literals {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hasher.update(bytes);
        self.recipe.literal(bytes).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

//! Local files as an archive that is made while it is sent.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io::{self, Write},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use bytes::Bytes;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;
use wharf_client::Upload;

/// How much of an archive is sent at once, and how many such pieces wait.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;

/// An upload of `source`, a file or a directory with all that is in it, whose first entry is called `name`. Adds
/// what was sent to `sent`.
pub(super) fn upload(source: PathBuf, name: String, sent: Arc<AtomicU64>) -> Upload {
    spawn(sent, move |pieces| write_archive(&source, &name, pieces))
}

/// An upload of the archive that standard input holds.
pub(super) fn upload_stdin() -> Upload {
    spawn(Arc::default(), |mut pieces| {
        io::copy(&mut io::stdin().lock(), &mut pieces)?;
        pieces.flush()
    })
}

/// Lets a thread of its own make an archive while it is sent. The program does not wait for it at the end.
fn spawn(sent: Arc<AtomicU64>, make: impl FnOnce(Pieces) -> io::Result<()> + Send + 'static) -> Upload {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let errors = sender.clone();
        if let Err(error) = make(Pieces { sender, buffer: Vec::with_capacity(PIECE), sent }) {
            // Nobody listens any more where the engine refused the archive.
            let _ = errors.blocking_send(Err(error));
        }
    });
    Upload::stream(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

/// Gathers what is written into pieces and sends them.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
    sent: Arc<AtomicU64>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Writes the archive of `source` to `out`.
pub(super) fn write_archive(source: &Path, name: &str, out: impl Write) -> io::Result<()> {
    let mut archive = Archive { builder: Builder::new(out), links: HashMap::new() };
    archive.append(source, Path::new(name))?;
    archive.builder.into_inner()?.flush()
}

struct Archive<W: Write> {
    builder: Builder<W>,
    /// The names of files that have several, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Archive<W> {
    fn append(&mut self, path: &Path, name: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        let mut header = header(&metadata);
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.entry(&mut header, EntryType::Directory, &name.join(""))?;
            let mut children = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
            children.sort_by_key(fs::DirEntry::file_name);
            children.iter().try_for_each(|child| self.append(&child.path(), &name.join(child.file_name())))
        } else if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            self.builder.append_link(&mut header, name, fs::read_link(path)?)
        } else if kind.is_file() {
            self.append_file(path, name, &metadata, header)
        } else if kind.is_fifo() {
            self.entry(&mut header, EntryType::Fifo, name)
        } else if kind.is_socket() {
            // A socket means nothing without the program behind it.
            Ok(())
        } else {
            header.set_device_major(rustix::fs::major(metadata.rdev()))?;
            header.set_device_minor(rustix::fs::minor(metadata.rdev()))?;
            let kind = if kind.is_block_device() { EntryType::Block } else { EntryType::Char };
            self.entry(&mut header, kind, name)
        }
    }

    fn entry(&mut self, header: &mut Header, kind: EntryType, name: &Path) -> io::Result<()> {
        header.set_entry_type(kind);
        self.builder.append_data(header, name, io::empty())
    }

    fn append_file(
        &mut self,
        path: &Path,
        name: &Path,
        metadata: &Metadata,
        mut header: Header,
    ) -> io::Result<()> {
        if metadata.nlink() > 1 {
            let key = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&key) {
                header.set_entry_type(EntryType::Link);
                return self.builder.append_link(&mut header, name, first);
            }
            self.links.insert(key, name.to_owned());
        }
        header.set_entry_type(EntryType::Regular);
        header.set_size(metadata.len());
        let file = Exactly { file: File::open(path)?, left: metadata.len() };
        self.builder.append_data(&mut header, name, file)
    }
}

fn header(metadata: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or_default());
    header.set_size(0);
    header
}

/// A file of the length that was announced, whatever is written to it meanwhile.
struct Exactly {
    file: File,
    left: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = match self.file.read(&mut buffer[..length])? {
            0 => {
                // The file became shorter.
                buffer[..length].fill(0);
                length
            }
            read => read,
        };
        self.left -= read as u64;
        Ok(read)
    }
}

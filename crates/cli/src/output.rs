//! Archives to a file or standard output.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures_util::Stream;
use wharf_client::ByteStream;

use crate::{Error, Result, error::go_os_error, print};

/// Bytes of a file read at once, and such pieces that may wait to be sent.
const PIECE: usize = 256 << 10;
const AHEAD: usize = 4;

/// Makes sure that an archive can be written to `path`; empty stands for standard output. `failed` stands before
/// complaints about the path.
///
/// # Errors
/// The folder is missing, the file is of a wrong kind, or standard output is a terminal.
pub(crate) fn check(path: &str, failed: &str) -> Result<()> {
    if path.is_empty() {
        if print::is_terminal() {
            return Err(Error::message(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        return Ok(());
    }
    check_path(path).map_err(|error| Error::message(format!("{failed}: {error}")))
}

fn check_path(path: &str) -> Result<()> {
    let dir = parent(path);
    if let Err(error) = std::fs::metadata(&dir) {
        let why = go_os_error(&error);
        return Err(Error::message(format!("invalid output path: stat {}: {why}", dir.display())));
    }
    let Ok(found) = std::fs::metadata(path) else { return Ok(()) };
    let kind = found.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_char_device() {
        "a character device file"
    } else if kind.is_block_device() {
        "a device file"
    } else if kind.is_fifo() {
        "a named pipe file"
    } else {
        "a socket file"
    };
    Err(Error::message(format!("cannot write to {what}")))
}

fn parent(path: &str) -> PathBuf {
    match Path::new(path).parent() {
        Some(dir) if dir.as_os_str().is_empty() => PathBuf::from("."),
        Some(dir) => dir.to_owned(),
        None => PathBuf::from("/"),
    }
}

/// Writes an archive; a file appears under its name only when it is complete.
///
/// # Errors
/// The connection breaks or the file cannot be written.
pub(crate) async fn write(mut archive: ByteStream, path: &str) -> Result<()> {
    if path.is_empty() {
        while let Some(chunk) = archive.next().await? {
            print::out_bytes(&chunk);
        }
        return Ok(());
    }
    let temporary = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempfile_in(parent(path))
        .map_err(|error| Error::file("open", path, error))?;
    // Nothing else is to be done meanwhile, so writing may block.
    let mut file = temporary.as_file();
    while let Some(chunk) = archive.next().await? {
        file.write_all(&chunk).map_err(|error| Error::file("write", path, error))?;
    }
    temporary.persist(path).map_err(|error| Error::file("rename", path, error.error))?;
    Ok(())
}

/// Opens an archive to be sent; `-` or empty stands for standard input.
///
/// # Errors
/// The file cannot be opened.
pub(crate) async fn open(path: &str) -> Result<wharf_client::Upload> {
    if matches!(path, "" | "-") {
        return Ok(wharf_client::Upload::reader(tokio::io::stdin()));
    }
    let file = File::open(path).map_err(|error| Error::file("open", path, error))?;
    Ok(wharf_client::Upload::stream(pieces(file)))
}

/// The content of a file, read on a thread of its own.
fn pieces(mut file: File) -> impl Stream<Item = io::Result<Bytes>> {
    let (sender, pieces) = tokio::sync::mpsc::channel(AHEAD);
    let read = move || {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece);
            let over = !matches!(read, Ok(1..));
            if matches!(read, Ok(0)) || sender.blocking_send(read.map(|_| piece.into())).is_err() || over {
                return;
            }
        }
    };
    tokio::task::spawn_blocking(read);
    futures_util::stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) })
}

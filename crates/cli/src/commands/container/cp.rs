//! `container cp`.

mod pack;
mod paths;
mod unpack;

use std::{
    fs,
    io::{self, IsTerminal, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;
use wharf_api::container::PathStat;
use wharf_client::{ByteStream, Client};

use self::paths::{End, Plan};
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
    render::human_size_3,
    stdio::Stdio,
};

static FLAGS: &[Flag] = &[
    Flag::bool("archive", "Archive mode (copy all uid/gid information)").short('a'),
    Flag::bool("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
    Flag::bool("quiet", "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("cp", "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", "Copy files/folders between a container and the local filesystem")
    .long("Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\nUse '-' as the destination to stream a tar archive of a\ncontainer source to stdout.")
    .aliases(&["container cp", "cp"])
    .args(Args::Exact(2))
    .flags(FLAGS)
    .run(run);

/// The type bits of Go's `os.FileMode` that matter here.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const IRREGULAR: u32 = 1 << 19;

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (source, target) = (m.arg(0), m.arg(1));
    if source.is_empty() {
        return Err(Error::message("source can not be empty"));
    }
    if target.is_empty() {
        return Err(Error::message("destination can not be empty"));
    }
    match (paths::parse(source), paths::parse(target)) {
        ((Some(_), _), (Some(_), _)) => Err(Error::message("copying between containers is not supported")),
        ((Some(container), source), (None, target)) => {
            let client = cli.client()?;
            cli.block_on(from_container(&client, m, container, source, target))
        }
        ((None, source), (Some(container), target)) => {
            let client = cli.client()?;
            cli.block_on(to_container(&client, m, container, source, target))
        }
        ((None, _), (None, _)) => Err(Error::message("must specify at least one container source")),
    }
}

fn local(path: &str) -> Result<String> {
    Ok(paths::absolute(&std::env::current_dir()?, path))
}

async fn from_container(
    client: &Client,
    m: &Matches,
    container: &str,
    source: &str,
    target: &str,
) -> Result<()> {
    let target = if target == "-" { target.to_owned() } else { local(target)? };
    if target != "-" {
        check_output(&target)?;
    }
    let mut source = End { path: source.to_owned(), exists: true, ..End::default() };
    if m.bool("follow-link") {
        follow(client, container, &mut source).await;
    }
    let (stat, mut archive) = client.archive_get(container, &source.path).await?;
    if target == "-" {
        let mut out = Stdio::output();
        while let Some(piece) = archive.next().await? {
            out.write_all(&piece).await?;
        }
        return Ok(());
    }
    source.directory = stat.mode & DIRECTORY != 0;
    let Plan { directory, rename } = paths::plan(&source, &local_target(&target)?).map_err(Error::message)?;
    let first = source.rename.clone().map(|name| (paths::split(&source.path).1, name));
    let renames: Vec<_> = first.into_iter().chain(rename).collect();
    let copied = receive(archive, PathBuf::from(directory), renames).await?;
    report(m, copied, &target);
    Ok(())
}

/// Replaces a link in a container by what it leads to.
async fn follow(client: &Client, container: &str, source: &mut End) {
    if let Ok(stat) = client.archive_stat(container, &source.path).await
        && stat.mode & SYMLINK != 0
    {
        let target = paths::follow(&source.path, &stat.link_target);
        (source.path, source.rename) = paths::resolved(&source.path, &target);
    }
}

/// Unpacks an archive while it arrives and returns its length.
async fn receive(mut archive: ByteStream, directory: PathBuf, renames: Vec<(String, String)>) -> Result<u64> {
    let (sender, pieces) = mpsc::channel(4);
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut reader = Pieces { pieces, piece: Bytes::new() };
        unpack::unpack(&mut reader, &directory, &renames)?;
        // What pads the archive is read too, so that the sender does not break off.
        io::copy(&mut reader, &mut io::sink())
    });
    let mut length = 0;
    while let Some(piece) = archive.next().await? {
        length += piece.len() as u64;
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    unpacking.await.map_err(io::Error::other)??;
    Ok(length)
}

/// The pieces of an archive as something to read.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.pieces.blocking_recv().unwrap_or_default();
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// The directory of a local target must be there, and the target must not be a device.
fn check_output(target: &str) -> Result<()> {
    let parent = paths::split(&paths::clean(target)).0;
    if !Path::new(&parent).exists() {
        return Err(Error::message(format!("invalid output path: directory \"{parent}\" does not exist")));
    }
    match fs::metadata(target) {
        Ok(found) if found.file_type().is_char_device() || found.file_type().is_block_device() => {
            let why = "must be a directory or a regular file: got a device";
            Err(Error::message(format!("invalid output path: \"{target}\" {why}")))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("stat", target, error)),
        _ => Ok(()),
    }
}

/// A local target; a link stands for what it leads to, even if that is missing.
fn local_target(target: &str) -> Result<End> {
    let mut path = target.to_owned();
    for _ in 0..10 {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(End { path, ..End::default() });
            }
            Err(error) => return Err(Error::file("lstat", path, error)),
        };
        if !metadata.is_symlink() {
            return Ok(End { path, exists: true, directory: metadata.is_dir(), rename: None });
        }
        let link = fs::read_link(&path).map_err(|error| Error::file("readlink", &path, error))?;
        path = paths::follow(&path, &link.to_string_lossy());
    }
    Err(Error::message(format!("too many symlinks in {target}")))
}

async fn to_container(
    client: &Client,
    m: &Matches,
    container: &str,
    source: &str,
    target: &str,
) -> Result<()> {
    let destination = container_target(client, container, target).await?;
    let keep = m.bool("archive");
    if source == "-" {
        if !destination.directory {
            return Err(Error::message(format!("destination \"{container}:{target}\" must be a directory")));
        }
        return Ok(client.archive_put(container, &destination.path, keep, pack::upload_stdin()).await?);
    }
    let source = local_source(&local(source)?, m.bool("follow-link"))?;
    let Plan { directory, rename } = paths::plan(&source, &destination).map_err(Error::message)?;
    let name = match rename {
        Some((_, new)) => new,
        None => source.rename.clone().unwrap_or_else(|| paths::split(&source.path).1),
    };
    let sent = Arc::new(AtomicU64::new(0));
    let archive = pack::upload(PathBuf::from(&source.path), name, sent.clone());
    client.archive_put(container, &directory, keep, archive).await?;
    report(m, sent.load(Ordering::Relaxed), &format!("{container}:{}", destination.path));
    Ok(())
}

/// A target in a container; a link stands for what it leads to. What cannot be found may still be made.
async fn container_target(client: &Client, container: &str, target: &str) -> Result<End> {
    let mut end = End { path: target.to_owned(), ..End::default() };
    let Ok(mut stat) = client.archive_stat(container, target).await else { return Ok(end) };
    if stat.mode & SYMLINK != 0 {
        end.path = paths::follow(target, &stat.link_target);
        match client.archive_stat(container, &end.path).await {
            Ok(followed) => stat = followed,
            Err(_) => return Ok(end),
        }
    }
    if let Some(obstacle) = obstacle(&stat) {
        let text =
            format!("destination \"{container}:{target}\" must be a directory or a regular file: {obstacle}");
        return Err(Error::message(text));
    }
    (end.exists, end.directory) = (true, stat.mode & DIRECTORY != 0);
    Ok(end)
}

/// What nothing can be copied to.
fn obstacle(stat: &PathStat) -> Option<&'static str> {
    match stat.mode {
        mode if mode & DEVICE != 0 => Some("got a device"),
        mode if mode & IRREGULAR != 0 => Some("got an irregular file"),
        _ => None,
    }
}

/// A local source. Links on the way to it are followed, and with `follow_link` the source itself.
fn local_source(path: &str, follow_link: bool) -> Result<End> {
    let (path, rename) = if follow_link {
        let target = fs::canonicalize(path).map_err(|error| Error::file("lstat", last_link(path), error))?;
        paths::resolved(path, &target.to_string_lossy())
    } else {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { "/" } else { parent };
        let resolved = fs::canonicalize(parent).map_err(|error| Error::file("lstat", parent, error))?;
        (format!("{}/{name}", resolved.display()), None)
    };
    let metadata = fs::symlink_metadata(&path).map_err(|error| Error::file("lstat", &path, error))?;
    Ok(End { exists: true, directory: metadata.is_dir(), path, rename })
}

/// Where a chain of links ends, which is what is missing if it cannot be followed.
fn last_link(path: &str) -> String {
    let mut path = path.to_owned();
    for _ in 0..10 {
        match fs::read_link(&path) {
            Ok(target) => path = paths::follow(&path, &target.to_string_lossy()),
            Err(_) => break,
        }
    }
    path
}

/// Says how much was copied, if someone is looking.
fn report(m: &Matches, copied: u64, target: &str) {
    let quiet = if m.changed("quiet") { m.bool("quiet") } else { !io::stdout().is_terminal() };
    if !quiet {
        print::warn(&format!("Successfully copied {} to {target}", human_size_3(copied as f64)));
    }
}

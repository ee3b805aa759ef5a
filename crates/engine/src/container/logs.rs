//! `logs`: what a container wrote, read back from its json-file log and followed while it runs.

use std::{borrow::Cow, collections::BTreeMap, io, path::Path, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use rustix::fs::inotify;
use serde::Deserialize;
use tokio::{net::unix::pipe, sync::mpsc};
use wharf_api::stream::{Header, StreamKind};

use super::{Container, Entry, log_files::LogFiles};
use crate::{Engine, Error, Result};

/// How much is formatted before it is handed to the client.
const CHUNK: usize = 64 * 1024;

/// What to read of a log and how to write it.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Lines of standard output.
    pub stdout: bool,
    /// Lines of standard error.
    pub stderr: bool,
    /// Keep on with new lines until the container stops.
    pub follow: bool,
    /// Only lines written at or after this time.
    pub since: Option<Timestamp>,
    /// Only lines written at or before this time.
    pub until: Option<Timestamp>,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Put the attributes of `--log-opt labels/env/tag` before each line.
    pub details: bool,
    /// Only this many of the last lines.
    pub tail: Option<usize>,
}

/// One line of a json-file log.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    attrs: Option<BTreeMap<String, String>>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
}

impl Engine {
    /// Starts reading the log of a container. The receiver yields blocks in the form of Docker's stream: raw for a
    /// container with a terminal, multiplexed otherwise. It ends at the end of the log, or when the container stops if
    /// `follow` is set.
    ///
    /// # Errors
    /// No such container; neither stream chosen; a log driver that cannot be read back.
    pub fn container_logs(
        self: &Arc<Self>,
        name: &str,
        options: LogOptions,
    ) -> Result<mpsc::Receiver<Bytes>> {
        let entry = self.containers.find(name)?;
        if !options.stdout && !options.stderr {
            return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
        }
        let container = entry.get();
        if container.host_config.log_config.kind == "none" {
            return Err(Error::not_implemented("configured logging driver does not support reading"));
        }
        let path = self.paths.container_log(&container);
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            if let Err(error) = stream(&entry, &container, &path, options, sender).await {
                tracing::warn!(container = %container.id, %error, "reading the log failed");
            }
        });
        Ok(receiver)
    }
}

/// Sends the log in blocks until it ends or the receiver is gone.
async fn stream(
    entry: &Entry,
    container: &Container,
    path: &Path,
    options: LogOptions,
    sender: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    // The watch is set up before the first read, so that nothing written in between is missed.
    let watch = if options.follow { Some(watch(path)?) } else { None };
    let mut record = entry.watch();
    let (file_path, tail) = (path.to_owned(), options.tail);
    let mut reader = Reader {
        files: blocking(move || LogFiles::open(&file_path, tail)).await?,
        line: Vec::new(),
        raw: container.config.tty,
        options,
        ended: false,
    };
    loop {
        let running = record.borrow_and_update().state.status.has_process();
        loop {
            let (back, block) = blocking(move || {
                let block = reader.block()?;
                Ok((reader, block))
            })
            .await?;
            reader = back;
            if block.is_empty() {
                break;
            }
            if sender.send(block).await.is_err() {
                return Ok(());
            }
        }
        let Some(watch) = &watch else { return Ok(()) };
        if !running || reader.ended {
            return Ok(());
        }
        tokio::select! {
            ready = watch.readable() => {
                ready?;
                drain(watch)?;
            }
            changed = record.changed() => if changed.is_err() { return Ok(()) },
            () = sender.closed() => return Ok(()),
        }
    }
}

/// An inotify watch on the folder of the log: the live file is written, renamed and created there.
fn watch(path: &Path) -> io::Result<pipe::Receiver> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    inotify::add_watch(
        &fd,
        folder,
        inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_FROM,
    )?;
    // An inotify descriptor is read and polled like the reading end of a pipe.
    pipe::Receiver::from_owned_fd_unchecked(fd)
}

/// Reads away the pending events: only that something changed matters.
fn drain(watch: &pipe::Receiver) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match watch.try_read(&mut buffer) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

struct Reader {
    files: LogFiles,
    line: Vec<u8>,
    raw: bool,
    options: LogOptions,
    /// A line after `until` was seen: lines are in the order of time, so nothing more can follow.
    ended: bool,
}

impl Reader {
    /// The next block of formatted lines; empty at the present end of the log.
    fn block(&mut self) -> io::Result<Bytes> {
        let mut out = BytesMut::new();
        while out.len() < CHUNK && !self.ended {
            let mut line = std::mem::take(&mut self.line);
            let found = self.files.next_line(&mut line)?;
            if found {
                self.format(&line, &mut out);
            }
            self.line = line;
            if !found && !self.files.follow_rotation()? {
                break;
            }
        }
        Ok(out.freeze())
    }

    fn format(&mut self, text: &[u8], out: &mut BytesMut) {
        // A line that is no JSON was torn by a crash or a full disk; the rest of the log is still good.
        let Ok(line) = serde_json::from_slice::<Line>(text) else { return };
        let (kind, wanted) = match &*line.stream {
            "stderr" => (StreamKind::Stderr, self.options.stderr),
            _ => (StreamKind::Stdout, self.options.stdout),
        };
        if !wanted {
            return;
        }
        if self.options.since.is_some() || self.options.until.is_some() {
            let Ok(time) = line.time.parse::<Timestamp>() else { return };
            if self.options.until.is_some_and(|until| time > until) {
                self.ended = true;
                return;
            }
            if self.options.since.is_some_and(|since| time < since) {
                return;
            }
        }
        let time = if self.options.timestamps { padded_time(&line.time) + " " } else { String::new() };
        let details = if self.options.details { details(line.attrs.as_ref()) } else { String::new() };
        let length = time.len() + details.len() + line.log.len();
        if !self.raw {
            // A line is at most 16 KiB and its attributes a few more: the length always fits.
            out.put_slice(&Header { kind, len: u32::try_from(length).unwrap_or(u32::MAX) }.encode());
        }
        out.put_slice(time.as_bytes());
        out.put_slice(details.as_bytes());
        out.put_slice(line.log.as_bytes());
    }
}

/// The stored time with all nine digits of the fraction: `logs -t` prints times of one width.
fn padded_time(time: &str) -> String {
    let bare = time.trim_end_matches('Z');
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    format!("{seconds}.{fraction:0<9}Z")
}

/// The attributes as `logs --details` prints them: `k=v,k2=v2` and a space.
fn details(attributes: Option<&BTreeMap<String, String>>) -> String {
    let pairs: Vec<_> =
        attributes.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",") + " "
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_padded_to_nanoseconds() {
        assert_eq!(padded_time("2024-01-02T03:04:05.12Z"), "2024-01-02T03:04:05.120000000Z");
        assert_eq!(padded_time("2024-01-02T03:04:05Z"), "2024-01-02T03:04:05.000000000Z");
    }
}

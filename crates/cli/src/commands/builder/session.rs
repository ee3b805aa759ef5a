//! The client's side of a build: answers the engine's questions and shows what it tells.

use std::{
    collections::{BTreeMap, btree_map},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use wharf_api::build::{Ask, Event, Frame, GONE, HEAD, Outcome, Request, What};
use wharf_client::Hijacked;

use super::{cache, context::Folder, display::Display, output::Outputs, request::Secret, ssh::Agents};
use crate::{Error, Result};

/// Bytes of a file that are sent at once.
const PIECE: usize = 128 << 10;

/// How often a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(100);

/// What the client has.
pub(super) struct Files {
    /// The build context.
    pub(super) context: Option<Folder>,
    /// Named contexts.
    pub(super) named: BTreeMap<String, Folder>,
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Caches in folders.
    pub(super) caches: cache::Folders,
    /// Key agents that are lent.
    pub(super) agents: Agents,
}

/// Has the engine build, and returns what that ended in.
///
/// # Errors
/// The connection breaks off, or the result cannot be written.
pub(super) async fn build(
    hijacked: Hijacked,
    request: &Request,
    files: Files,
    outputs: &Outputs,
    display: &mut Display,
) -> Result<Outcome> {
    let (mut input, mut to_engine) = hijacked.split();
    let (frames, mut outgoing) = mpsc::channel::<Vec<u8>>(8);
    let request = Frame::document(Frame::REQUEST, request);
    tokio::spawn(async move {
        // The engine hears the end of the connection; nobody else wants to know why.
        let _ = to_engine.write_all(&request).await;
        while let Some(frame) = outgoing.recv().await {
            if to_engine.write_all(&frame).await.is_err() {
                break;
            }
        }
        // Held until the engine has ended the stream: the end of ours would cancel the build.
        std::future::pending::<()>().await;
    });
    let caches = files.caches.clone();
    let (questions, asked) = std::sync::mpsc::channel::<Ask>();
    tokio::task::spawn_blocking(move || {
        while let Ok(ask) = asked.recv() {
            if files.answer(&ask, &frames).is_err() {
                break;
            }
        }
    });
    // What is exported may be larger than memory, and is taken by code that blocks.
    let (mut exports, mut cached) = (Received::new(), Received::new());
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        let frame = {
            let mut next = std::pin::pin!(read_frame(&mut input));
            loop {
                tokio::select! {
                    frame = &mut next => break frame?,
                    _ = redraw.tick() => display.redraw(),
                }
            }
        };
        let Some(frame) = frame else { return Err(Error::message("the engine ended the connection")) };
        match frame.kind {
            Frame::ASK => {
                let ask = serde_json::from_slice(&frame.payload).map_err(io::Error::other)?;
                let _ = questions.send(ask);
            }
            Frame::EVENT => {
                let event: Event = serde_json::from_slice(&frame.payload).map_err(io::Error::other)?;
                display.event(&event);
            }
            Frame::OUTPUT => {
                if let Some((step, text)) = frame.number() {
                    display.output(step, text);
                }
            }
            Frame::CACHE => append(&mut cached, &frame)?,
            Frame::EXPORT => append(&mut exports, &frame)?,
            Frame::DONE => {
                let outcome: Outcome = serde_json::from_slice(&frame.payload).map_err(io::Error::other)?;
                if outcome.error.is_none() {
                    for (place, export) in exports {
                        outputs.take(place as usize, from_start(export)?)?;
                    }
                    for (cache, file) in cached {
                        caches.take(cache as usize, from_start(file)?)?;
                    }
                }
                return Ok(outcome);
            }
            // Later engines may tell more.
            _ => {}
        }
    }
}

/// Files without a name, by the number that comes before their bytes.
type Received = BTreeMap<u32, File>;

/// Adds what a frame brings to the file it is for.
fn append(files: &mut Received, frame: &Frame) -> io::Result<()> {
    let Some((number, bytes)) = frame.number() else { return Ok(()) };
    let file = match files.entry(number) {
        btree_map::Entry::Occupied(known) => known.into_mut(),
        btree_map::Entry::Vacant(new) => new.insert(tempfile::tempfile()?),
    };
    io::Write::write_all(file, bytes)
}

/// The same file, to be read from its beginning.
fn from_start(mut file: File) -> io::Result<File> {
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// The next frame; `None` at the end of the stream. Not to be dropped half-way.
async fn read_frame(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD];
    match input.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let (kind, length) = Frame::parse_head(head).ok_or(io::ErrorKind::InvalidData)?;
    let mut payload = vec![0; length];
    input.read_exact(&mut payload).await?;
    Ok(Some(Frame { kind, payload }))
}

/// Why a question has no answer.
enum Unanswered {
    /// Nobody listens any more.
    Gone,
    /// What the engine is told.
    Refused(String),
}

/// How it went to send something.
type Sent = std::result::Result<(), Unanswered>;

/// Sends a part of an answer.
type Send<'a> = dyn FnMut(&[u8]) -> Sent + 'a;

impl Files {
    /// Answers one question.
    ///
    /// # Errors
    /// Nobody listens any more.
    fn answer(&self, ask: &Ask, frames: &mpsc::Sender<Vec<u8>>) -> Sent {
        let send = |kind, bytes: &[u8]| {
            let frame = Frame::numbered(kind, ask.id, bytes);
            frames.blocking_send(frame).map_err(|_| Unanswered::Gone)
        };
        let mut data = |bytes: &[u8]| send(Frame::DATA, bytes);
        let answered = match &ask.what {
            What::List { context } => self.list(context, &mut data),
            What::Fetch { context, paths } => self.fetch(context, paths, &mut data),
            What::Secret { name } => self.secret(name, &mut data),
            What::Agent { name, connection, message } => {
                let answer = self.agents.ask(name, *connection, message);
                answer
                    .map_err(|error| Unanswered::Refused(error.to_string()))
                    .and_then(|answer| data(&answer))
            }
            What::Archive => Err(Unanswered::Refused("there is no archive".to_owned())),
            What::Cache { cache, file } => self.cache(*cache, file, &mut data),
        };
        match answered {
            Ok(()) => send(Frame::END, b""),
            Err(Unanswered::Refused(reason)) => send(Frame::FAILED, reason.as_bytes()),
            Err(Unanswered::Gone) => Err(Unanswered::Gone),
        }
    }

    fn folder(&self, context: &str) -> std::result::Result<&Folder, Unanswered> {
        let folder = if context.is_empty() { self.context.as_ref() } else { self.named.get(context) };
        folder.ok_or_else(|| Unanswered::Refused(format!("no context {context:?}")))
    }

    fn secret(&self, name: &str, send: &mut Send<'_>) -> Sent {
        let secret = self.secrets.get(name);
        let secret = secret.ok_or_else(|| Unanswered::Refused(format!("secret {name}: not found")))?;
        send(&secret.read().map_err(|error| Unanswered::Refused(error.to_string()))?)
    }

    fn cache(&self, cache: usize, file: &str, send: &mut Send<'_>) -> Sent {
        let refused = |error: io::Error| Unanswered::Refused(crate::error::go_os_error(&error));
        let mut file = self.caches.open(cache, file).map_err(refused)?;
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer).map_err(refused)? {
                0 => return Ok(()),
                got => send(&buffer[..got])?,
            }
        }
    }

    /// Sends a listing.
    fn list(&self, context: &str, send: &mut Send<'_>) -> Sent {
        let entries = self.folder(context)?.list();
        let entries = entries.map_err(|error| Unanswered::Refused(error.to_string()))?;
        let mut lines = Vec::with_capacity(PIECE);
        for entry in entries {
            entry.append_to(&mut lines).map_err(|error| Unanswered::Refused(error.to_string()))?;
            if lines.len() >= PIECE {
                send(&lines)?;
                lines.clear();
            }
        }
        send(&lines)
    }

    /// Sends contents: of each file its length, then its bytes, small files together.
    fn fetch(&self, context: &str, paths: &[String], send: &mut Send<'_>) -> Sent {
        let folder = self.folder(context)?;
        let mut buffer = Vec::with_capacity(2 * PIECE);
        for path in paths {
            let opened =
                File::open(folder.path.join(path)).and_then(|file| Ok((file.metadata()?.len(), file)));
            let (size, file) = match opened {
                Ok(opened) => opened,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    buffer.extend_from_slice(&GONE.to_be_bytes());
                    continue;
                }
                Err(error) => {
                    let reason = crate::error::go_os_error(&error);
                    let path = folder.path.join(path);
                    return Err(Unanswered::Refused(format!("open {}: {reason}", path.display())));
                }
            };
            buffer.extend_from_slice(&size.to_be_bytes());
            let mut left = size;
            let mut file = file.take(size);
            while left > 0 {
                let before = buffer.len();
                let want = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
                buffer.resize(before + want, 0);
                let got = file.read(&mut buffer[before..]);
                let got = got.map_err(|error| Unanswered::Refused(format!("read {path}: {error}")))?;
                // If it became shorter: the engine is owed the length it was told.
                let piece = if got == 0 { want } else { got };
                buffer.truncate(before + piece);
                left -= piece as u64;
                if buffer.len() >= PIECE {
                    send(&buffer)?;
                    buffer.clear();
                }
            }
        }
        send(&buffer)
    }
}

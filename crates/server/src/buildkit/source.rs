//! Files of a client, by fsutil's protocol: the client lists a folder, and sends the contents of what it is asked for.
//!
//! Nothing of it touches a file system here: the listing goes to the engine, which refuses names that lead anywhere else,
//! and contents go after it by their place in the listing.

use std::collections::{HashMap, VecDeque};

use prost::Message;
use rustix::fs::FileType;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status, Streaming};
use wharf_api::build::Entry;
use wharf_build::dockerfile::LONGEST_TEXT;

use super::frames::Answer;
use super::proto::filesync::{Packet, Stat, kind};
use super::session::Session;

/// The client's method.
const METHOD: &str = "/moby.filesync.v1.FileSync/DiffCopy";

/// The most entries of a folder.
const MOST_ENTRIES: usize = 4 << 20;

/// Files that are asked for before the one in front has come.
const AHEAD: usize = 64;

/// Bytes of such files that are kept until it is their turn.
const AHEAD_BYTES: u64 = 1 << 20;

/// Links that are followed to one file.
const MOST_LINKS: usize = 40;

/// Which part of a client's folder is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted<'a> {
    /// Name of the folder.
    pub(super) folder: &'a str,
    /// Only these paths, and what links in them lead to; everything if empty.
    pub(super) follow: &'a [String],
    /// Patterns of an ignore file.
    pub(super) exclude: &'a [String],
}

/// A folder that is being transferred.
pub(super) struct Transfer {
    requests: mpsc::Sender<Packet>,
    packets: Streaming<Packet>,
    /// Files by their path.
    files: HashMap<String, Known>,
    /// Targets of links by their path.
    links: HashMap<String, String>,
    /// Part of what files are known again by.
    salt: u64,
    /// Bytes that came, messages and all.
    pub(super) received: u64,
    _ended: tokio_util::sync::DropGuard,
}

/// A file of the listing.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Its place.
    id: u32,
    size: u64,
    /// Contents are sent once.
    taken: bool,
}

/// A file that was asked for.
struct Coming {
    id: u32,
    /// Bytes that are still to come.
    left: u64,
    /// What came before it was its turn.
    early: Vec<u8>,
    ended: bool,
}

impl Transfer {
    /// Begins with a listing, parents before children.
    ///
    /// # Errors
    /// The client has no such folder, or cannot read it.
    pub(super) async fn begin(session: &Session, wanted: &Wanted<'_>) -> Result<(Vec<Entry>, Self), Status> {
        if !session.offers(METHOD) {
            return Err(Status::unimplemented("no local sources enabled"));
        }
        let (requests, outgoing) = mpsc::channel(2 * AHEAD);
        let ended = CancellationToken::new();
        let messages = messages(outgoing, ended.clone());
        let mut request = Request::new(messages);
        let metadata = request.metadata_mut();
        put(metadata, "dir-name", [wanted.folder])?;
        put(metadata, "followpaths", wanted.follow.iter().map(String::as_str))?;
        put(metadata, "exclude-patterns", wanted.exclude.iter().map(String::as_str))?;
        let packets = session.stream(METHOD, request).await?;
        let _ended = ended.drop_guard();
        let mut transfer = Self {
            requests,
            packets,
            files: HashMap::new(),
            links: HashMap::new(),
            salt: session.salt,
            received: 0,
            _ended,
        };
        let entries = transfer.list().await?;
        Ok((entries, transfer))
    }

    async fn list(&mut self) -> Result<Vec<Entry>, Status> {
        let mut entries = Vec::new();
        loop {
            let packet = self.next().await?;
            if packet.kind != kind::STAT {
                continue;
            }
            // The last one is empty.
            let Some(stat) = packet.stat else { return Ok(entries) };
            let id = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            if entries.len() >= MOST_ENTRIES {
                return Err(Status::resource_exhausted("the context has too many files"));
            }
            let entry = self.entry(id, stat);
            entries.push(entry);
        }
    }

    fn entry(&mut self, id: u32, stat: Stat) -> Entry {
        let mode = unix_mode(stat.mode);
        let mut size = u64::try_from(stat.size).unwrap_or_default();
        let mut link = stat.linkname;
        if FileType::from_raw_mode(mode) == FileType::RegularFile {
            // A second name of a file before it, whose contents can be had by either.
            if let Some(first) = self.files.get(&link) {
                size = first.size;
            }
            link.clear();
            self.files.insert(stat.path.clone(), Known { id, size, taken: false });
        } else if !link.is_empty() {
            self.links.insert(stat.path.clone(), link.clone());
        }
        let (seconds, nanoseconds) =
            (stat.mod_time.div_euclid(1_000_000_000), stat.mod_time.rem_euclid(1_000_000_000));
        Entry {
            path: stat.path,
            mode,
            size,
            mtime: (seconds, u32::try_from(nanoseconds).unwrap_or_default()),
            // No inodes are told: as for BuildKit, a file is the same if its size and time are.
            stamp: (self.salt, stat.mod_time),
            link,
        }
    }

    /// Whether one of some files was sent: contents are sent once.
    pub(super) fn has_sent(&self, paths: &[String]) -> bool {
        paths.iter().any(|path| self.files.get(path).is_some_and(|known| known.taken))
    }

    /// Gives the contents of files, in their order: of each its length in eight bytes, big-endian, and its bytes.
    ///
    /// # Errors
    /// One is not in the listing or is not what it was then; the client is gone.
    pub(super) async fn fetch(&mut self, paths: &[String], to: &Answer<'_>) -> Result<(), Status> {
        let mut paths = paths.iter();
        let mut next = paths.next();
        let mut coming: VecDeque<Coming> = VecDeque::new();
        loop {
            while let Some(path) = next {
                let known = self.files.get_mut(path).ok_or_else(|| Status::not_found(path.clone()))?;
                let ahead: u64 = coming.iter().map(|file| file.left + file.early.len() as u64).sum();
                if !coming.is_empty() && (coming.len() >= AHEAD || ahead + known.size > AHEAD_BYTES) {
                    break;
                }
                if std::mem::replace(&mut known.taken, true) {
                    return Err(Status::internal(format!("{path} was sent before")));
                }
                let Known { id, size, .. } = *known;
                self.request(id).await?;
                coming.push_back(Coming { id, left: size, early: size.to_be_bytes().to_vec(), ended: false });
                next = paths.next();
            }
            // The file in front goes on at once, the others wait for their turn.
            let mut ready = Vec::new();
            while let Some(file) = coming.front_mut() {
                ready.append(&mut file.early);
                if !file.ended {
                    break;
                }
                coming.pop_front();
            }
            to.send(&ready).await?;
            match (coming.is_empty(), next) {
                (true, None) => return Ok(()),
                (true, Some(_)) => continue,
                (false, _) => self.receive(&mut coming).await?,
            }
        }
    }

    /// Takes one packet in.
    async fn receive(&mut self, coming: &mut VecDeque<Coming>) -> Result<(), Status> {
        let packet = self.next().await?;
        if packet.kind != kind::DATA {
            return Ok(());
        }
        let Some(file) = coming.iter_mut().find(|file| file.id == packet.id) else {
            return Err(Status::internal("the client sent contents that nobody asked for"));
        };
        if packet.data.is_empty() {
            file.ended = true;
            return match file.left {
                0 => Ok(()),
                _ => Err(Status::aborted("a file of the context became shorter while it was read")),
            };
        }
        // What a file has grown by since it was listed is not part of it.
        let length = packet.data.len().min(usize::try_from(file.left).unwrap_or(usize::MAX));
        file.early.extend_from_slice(&packet.data[..length]);
        file.left -= length as u64;
        Ok(())
    }

    /// The contents of one file of at most `limit` bytes, links in the listing followed; `None` if there is no such file.
    ///
    /// # Errors
    /// It is too long; the client is gone.
    pub(super) async fn text(&mut self, path: &str, limit: u64) -> Result<Option<String>, Status> {
        let Some(Known { id, size, .. }) = self.followed(path) else { return Ok(None) };
        if size > limit {
            return Err(Status::invalid_argument(format!("{path} is longer than {limit} bytes")));
        }
        self.request(id).await?;
        let mut coming = VecDeque::from([Coming { id, left: size, early: Vec::new(), ended: false }]);
        while !coming[0].ended {
            self.receive(&mut coming).await?;
        }
        Ok(Some(String::from_utf8_lossy(&coming[0].early).into_owned()))
    }

    /// The file that a path leads to.
    fn followed(&mut self, path: &str) -> Option<Known> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            if let Some(known) = self.files.get_mut(&path) {
                return (!std::mem::replace(&mut known.taken, true)).then_some(*known);
            }
            let link = self.links.get(&path)?;
            let folder = if link.starts_with('/') {
                ""
            } else {
                path.rsplit_once('/').map_or("", |(folder, _)| folder)
            };
            let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
            for part in link.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            path = parts.join("/");
        }
        None
    }

    async fn request(&self, id: u32) -> Result<(), Status> {
        let packet = Packet { kind: kind::REQ, id, ..Packet::default() };
        self.requests.send(packet).await.map_err(|_| Status::unavailable("the client is gone"))
    }

    async fn next(&mut self) -> Result<Packet, Status> {
        let packet = self.packets.message().await?;
        let packet = packet.ok_or_else(|| Status::unavailable("the client stopped sending files"))?;
        self.received += packet.encoded_len() as u64;
        match packet.kind {
            kind::ERR => Err(Status::unknown(String::from_utf8_lossy(&packet.data).into_owned())),
            _ => Ok(packet),
        }
    }
}

/// Reads those of some texts of a folder that are there: Dockerfiles, ignore files. Returns them by their path, and how
/// many bytes came.
///
/// # Errors
/// The folder cannot be read, or a file is too long to be what it should be.
pub(super) async fn read_texts(
    session: &Session,
    folder: &str,
    paths: &[String],
) -> Result<(HashMap<String, String>, u64), Status> {
    let wanted = Wanted { folder, follow: paths, exclude: &[] };
    let (_, mut transfer) = Transfer::begin(session, &wanted).await?;
    let mut texts = HashMap::new();
    for path in paths {
        if let Some(text) = transfer.text(path, LONGEST_TEXT as u64).await? {
            texts.insert(path.clone(), text);
        }
    }
    Ok((texts, transfer.received))
}

/// The messages of a channel, and the one that says that no more are wanted.
fn messages(
    outgoing: mpsc::Receiver<Packet>,
    ended: CancellationToken,
) -> impl futures_util::Stream<Item = Packet> + Send + 'static {
    futures_util::stream::unfold(Some((outgoing, ended)), |state| async move {
        let (mut outgoing, ended) = state?;
        tokio::select! {
            biased;
            packet = outgoing.recv() => {
                let packet = packet?;
                Some((packet, Some((outgoing, ended))))
            }
            () = ended.cancelled() => {
                Some((Packet { kind: kind::FIN, ..Packet::default() }, None))
            }
        }
    })
}

/// Adds a list to a call's metadata. Text that is not ASCII is escaped as in a query, and said to be.
fn put<'a>(
    metadata: &mut MetadataMap,
    name: &'static str,
    values: impl IntoIterator<Item = &'a str>,
) -> Result<(), Status> {
    let values: Vec<&str> = values.into_iter().collect();
    let escaped = values.iter().any(|value| !value.bytes().all(|byte| (b' '..0x7f).contains(&byte)));
    for value in values {
        let value = match escaped {
            true => form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>(),
            false => value.to_owned(),
        };
        let value = AsciiMetadataValue::try_from(value)
            .map_err(|_| Status::invalid_argument(format!("invalid value of {name}")))?;
        metadata.append(name, value);
    }
    if escaped && let Ok(key) = AsciiMetadataKey::from_bytes(format!("{name}-encoded").as_bytes()) {
        metadata.insert(key, AsciiMetadataValue::from_static("1"));
    }
    Ok(())
}

/// The mode as stat(2) has it, from Go's.
fn unix_mode(go: u32) -> u32 {
    const KINDS: [(u32, FileType); 6] = [
        (1 << 31, FileType::Directory),
        (1 << 27, FileType::Symlink),
        (1 << 25, FileType::Fifo),
        (1 << 24, FileType::Socket),
        (1 << 21, FileType::CharacterDevice),
        (1 << 26, FileType::BlockDevice),
    ];
    const BITS: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
    let kind = KINDS.iter().find(|(bit, _)| go & bit != 0).map_or(FileType::RegularFile, |(_, kind)| *kind);
    let special = BITS.iter().filter(|(bit, _)| go & bit != 0).fold(0, |mode, (_, bit)| mode | bit);
    kind.as_raw_mode() | special | go & 0o777
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_go() {
        assert_eq!(unix_mode(0o644), 0o100644);
        assert_eq!(unix_mode(1 << 31 | 1 << 20 | 0o777), 0o041777);
        assert_eq!(unix_mode(1 << 27 | 0o777), 0o120777);
        assert_eq!(unix_mode(1 << 26 | 1 << 21 | 0o600), 0o020600);
        assert_eq!(unix_mode(1 << 23 | 0o755), 0o104755);
    }

    #[test]
    fn metadata_is_ascii() {
        let mut metadata = MetadataMap::new();
        put(&mut metadata, "followpaths", ["a b", "ä"]).unwrap();
        let values: Vec<_> = metadata.get_all("followpaths").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(values, ["a+b", "%C3%A4"]);
        assert_eq!(metadata.get("followpaths-encoded").unwrap(), "1");
        put(&mut metadata, "dir-name", ["context"]).unwrap();
        assert!(metadata.get("dir-name-encoded").is_none());
    }
}

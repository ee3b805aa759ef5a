//! Sends a tar as a folder: lists what is in it, in the order of paths, and sends the contents of what is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::stream;
use tar::EntryType;
use tokio::sync::mpsc;
use tonic::{Request, Status, Streaming};

use super::super::proto::filesync::{Packet, Stat, kind};
use super::super::session::Session;
use super::{METHOD, addressed, failed};
use crate::produce::blocking;

/// Bytes of a file that are sent at once.
const PIECE: u64 = 32 << 10;

/// Something in the tar.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    stat: Stat,
    /// Where its contents begin, and how long they are.
    contents: (u64, u64),
}

/// Sends the tar in a file.
///
/// # Errors
/// The client cannot write it.
pub(super) async fn send(session: &Session, place: u32, file: File) -> Result<(), Status> {
    let read = blocking(move || {
        let items = index(&file).map_err(|error| crate::failure::Failure::system(error.to_string()))?;
        Ok::<_, crate::failure::Failure>((file, items))
    });
    let (file, items) = read.await.map_err(|error| Status::internal(error.to_string()))?;
    let (packets, mut outgoing) = mpsc::channel(16);
    let listing: Vec<_> = items.iter().map(|item| item.stat.clone()).collect();
    let listed = packets.clone();
    let list = async move {
        let stats = listing.into_iter().map(Some).chain([None]);
        for stat in stats {
            let packet = Packet { kind: kind::STAT, stat, ..Packet::default() };
            // The call says why nobody wants it any more.
            if listed.send(packet).await.is_err() {
                break;
            }
        }
    };
    let outgoing = stream::poll_fn(move |cx| outgoing.poll_recv(cx));
    let answer = async {
        let asked = session.stream(METHOD, addressed(Request::new(outgoing), place)).await?;
        answer(asked, packets, Arc::new(file), &items).await
    };
    tokio::join!(list, answer).1
}

/// Answers what the client asks for, until it has everything.
async fn answer(
    mut asked: Streaming<Packet>,
    packets: mpsc::Sender<Packet>,
    file: Arc<File>,
    items: &[Item],
) -> Result<(), Status> {
    let gone = |_| Status::unavailable("the client is gone");
    while let Some(packet) = asked.message().await? {
        match packet.kind {
            kind::REQ => {
                let item = items.get(packet.id as usize);
                let (mut at, length) = item.map_or((0, 0), |item| item.contents);
                let end = at + length;
                while at < end {
                    let length = PIECE.min(end - at);
                    let data = read(file.clone(), at, length).await?;
                    let part = Packet { kind: kind::DATA, id: packet.id, data, stat: None };
                    packets.send(part).await.map_err(gone)?;
                    at += length;
                }
                let last = Packet { kind: kind::DATA, id: packet.id, ..Packet::default() };
                packets.send(last).await.map_err(gone)?;
            }
            kind::FIN => {
                let fin = Packet { kind: kind::FIN, ..Packet::default() };
                packets.send(fin).await.map_err(gone)?;
                break;
            }
            kind::ERR => {
                let reason = String::from_utf8_lossy(&packet.data);
                return Err(Status::unknown(format!("error from receiver: {reason}")));
            }
            _ => {}
        }
    }
    // The client has everything when it has seen the end of our half.
    drop(packets);
    while asked.message().await?.is_some() {}
    Ok(())
}

async fn read(file: Arc<File>, at: u64, length: u64) -> Result<Vec<u8>, Status> {
    let work = move || {
        let mut data = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut data, at)?;
        Ok::<_, io::Error>(data)
    };
    let read = tokio::task::spawn_blocking(work).await;
    read.map_err(|error| Status::internal(error.to_string()))?.map_err(failed)
}

/// What is in a tar, in the order that fsutil wants: by path, a folder before what is in it.
fn index(file: &File) -> io::Result<Vec<Item>> {
    use io::Seek;
    let mut file = io::BufReader::new(file);
    file.rewind()?;
    let mut archive = tar::Archive::new(file);
    let mut items: HashMap<String, Item> = HashMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = text(&entry.path_bytes());
        if path.is_empty() {
            continue;
        }
        let link = entry.link_name_bytes().map(|link| text(&link));
        let header = entry.header();
        let mut item = Item {
            stat: Stat {
                path: path.clone(),
                mode: go_mode(header.entry_type(), header.mode()?),
                uid: u32::try_from(header.uid()?).unwrap_or_default(),
                gid: u32::try_from(header.gid()?).unwrap_or_default(),
                size: i64::try_from(entry.size()).unwrap_or(i64::MAX),
                mod_time: i64::try_from(header.mtime()?).unwrap_or_default().saturating_mul(1_000_000_000),
                devmajor: header.device_major().ok().flatten().unwrap_or_default().into(),
                devminor: header.device_minor().ok().flatten().unwrap_or_default().into(),
                ..Stat::default()
            },
            contents: (entry.raw_file_position(), entry.size()),
        };
        match (header.entry_type(), link) {
            (EntryType::Symlink, Some(_)) => {
                // As it is: it may begin with a slash.
                item.stat.linkname =
                    String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned();
            }
            // A second name has the same contents.
            (EntryType::Link, Some(first)) => {
                let Some(first) = items.get(&first) else { continue };
                item = Item { stat: Stat { path: path.clone(), ..first.stat.clone() }, ..first.clone() };
            }
            _ => {}
        }
        items.insert(path, item);
    }
    let mut items: Vec<_> = items.into_values().collect();
    items.sort_by(|a, b| a.stat.path.split('/').cmp(b.stat.path.split('/')));
    Ok(items)
}

/// A path without `/` at its ends.
fn text(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.trim_start_matches("./").trim_matches('/').to_owned()
}

/// A mode as Go has it.
fn go_mode(kind: EntryType, mode: u32) -> u32 {
    let kind = match kind {
        EntryType::Directory => 1 << 31,
        EntryType::Symlink => 1 << 27,
        EntryType::Fifo => 1 << 25,
        EntryType::Block => 1 << 26,
        EntryType::Char => 1 << 26 | 1 << 21,
        _ => 0,
    };
    const BITS: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = BITS.iter().filter(|(bit, _)| mode & bit != 0).fold(0, |all, (_, bit)| all | bit);
    kind | special | mode & 0o777
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tar_in_the_order_of_paths() {
        let mut tar = tar::Builder::new(tempfile::tempfile().unwrap());
        let mut add = |path: &str, kind, link: &str, contents: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o4755);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(1);
            header.set_size(contents.len() as u64);
            match link {
                "" => tar.append_data(&mut header, path, contents).unwrap(),
                link => tar.append_link(&mut header, path, link).unwrap(),
            }
        };
        add("a-b", EntryType::Regular, "", b"one");
        add("a", EntryType::Directory, "", b"");
        add("a/z", EntryType::Link, "a-b", b"");
        add("a/l", EntryType::Symlink, "/etc", b"");
        let items = index(&tar.into_inner().unwrap()).unwrap();
        let found: Vec<_> = items
            .iter()
            .map(|item| (item.stat.path.as_str(), item.contents.1, item.stat.linkname.as_str()))
            .collect();
        assert_eq!(found, [("a", 0, ""), ("a/l", 0, "/etc"), ("a/z", 3, ""), ("a-b", 3, "")]);
        assert_eq!(items[0].stat.mode, 1 << 31 | 1 << 23 | 0o755);
        assert_eq!(items[2].contents.0, items[3].contents.0);
    }
}

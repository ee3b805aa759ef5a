//! The protocol of `wharf build`: `POST /build/session`, upgraded to a stream of frames in both directions.
//!
//! A frame is a kind (one byte), a length (four bytes, big-endian) and so many bytes. The client begins with
//! [`Frame::REQUEST`]. The engine asks for what it lacks ([`Ask`]): each question has a number, and its answer is any
//! number of [`Frame::DATA`], which begin with that number, and one [`Frame::END`] or [`Frame::FAILED`]. It tells what
//! happens ([`Event`], [`Frame::OUTPUT`]), sends what is exported ([`Frame::EXPORT`]) and ends with an [`Outcome`]. A
//! client that goes away cancels its build.

mod annotation;
mod cache;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::annotation::{Annotated, Annotation};
pub use self::cache::CacheEntry;
use crate::auth::AuthConfig;
use crate::container::Ulimit;

/// Bytes of a frame's head.
pub const HEAD: usize = 5;
/// The longest payload.
pub const LONGEST: usize = 16 << 20;
/// Length in an answer to [`What::Fetch`] that stands for a file that is not there any more.
pub const GONE: u64 = u64::MAX;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of the constants.
    pub kind: u8,
    /// Its content.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Client: a [`Request`].
    pub const REQUEST: u8 = 1;
    /// Client: number of a question, part of its answer.
    pub const DATA: u8 = 2;
    /// Client: number of a question, which is answered.
    pub const END: u8 = 3;
    /// Client: number of a question, why there is no answer.
    pub const FAILED: u8 = 4;
    /// Engine: an [`Ask`].
    pub const ASK: u8 = 16;
    /// Engine: an [`Event`].
    pub const EVENT: u8 = 17;
    /// Engine: number of a step, what it wrote.
    pub const OUTPUT: u8 = 18;
    /// Engine: place of an export in [`Request::exports`], part of it.
    pub const EXPORT: u8 = 19;
    /// Engine: the [`Outcome`].
    pub const DONE: u8 = 20;
    /// Engine: place of a cache in [`Request::cache_to`], part of its image layout as a tar.
    pub const CACHE: u8 = 21;

    /// The head of a frame with so many bytes of payload.
    pub const fn head(kind: u8, length: usize) -> [u8; HEAD] {
        let length = (length as u32).to_be_bytes();
        [kind, length[0], length[1], length[2], length[3]]
    }

    /// Kind and length of payload from a head; `None` if it is too long.
    pub fn parse_head(head: [u8; HEAD]) -> Option<(u8, usize)> {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        (length <= LONGEST).then_some((head[0], length))
    }

    /// A whole frame with a document.
    pub fn document(kind: u8, document: &impl Serialize) -> Vec<u8> {
        Self::bytes(kind, &serde_json::to_vec(document).unwrap_or_default())
    }

    /// A whole frame with bytes that belong to a question or step.
    pub fn numbered(kind: u8, number: u32, bytes: &[u8]) -> Vec<u8> {
        let mut frame = Self::head(kind, bytes.len() + 4).to_vec();
        frame.extend_from_slice(&number.to_be_bytes());
        frame.extend_from_slice(bytes);
        frame
    }

    /// A whole frame.
    pub fn bytes(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Self::head(kind, payload.len()).to_vec();
        frame.extend_from_slice(payload);
        frame
    }

    /// The number a payload begins with, and what follows it.
    pub fn number(&self) -> Option<(u32, &[u8])> {
        let (number, rest) = self.payload.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*number), rest))
    }
}

/// What is to be built.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Text of the Dockerfile.
    pub dockerfile: String,
    /// Text of the ignore file, for the checks; the client applies it itself.
    pub ignore: Option<String>,
    /// Stage to build.
    pub target: Option<String>,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Platforms to build for.
    pub platforms: Vec<String>,
    /// Folders of the client by the name of their context, `""` for the build context: what identifies each, so that its
    /// files can be known again.
    pub folders: BTreeMap<String, String>,
    /// Contexts that are images, or addresses the engine fetches.
    pub contexts: BTreeMap<String, String>,
    /// The address the build context is fetched from, in the place of a folder.
    pub remote: String,
    /// The build context comes as an archive ([`What::Archive`]), in the place of a folder.
    pub archive: bool,
    /// Path of the Dockerfile in a remote context or archive; empty if its text is given.
    pub file: String,
    /// Nothing comes from the cache.
    pub no_cache: bool,
    /// Stages that do not use the cache.
    pub no_cache_filter: Vec<String>,
    /// Images are pulled even if they are there.
    pub pull: bool,
    /// Entitlements: `network.host`, `security.insecure`.
    pub allow: Vec<String>,
    /// Network of `RUN` steps.
    pub network: String,
    /// `name:address` for `RUN` steps.
    pub add_hosts: Vec<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: i64,
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Cgroup below which the steps are put.
    pub cgroup_parent: String,
    /// Seconds since the epoch that all times in the image are set to.
    pub epoch: Option<i64>,
    /// Times of files in layers that are later become this one, in seconds since the epoch.
    pub newest: Option<i64>,
    /// Names of the image.
    pub names: Vec<String>,
    /// What comes out, one for each destination.
    pub exports: Vec<Export>,
    /// For registries, by host.
    pub auth: BTreeMap<String, AuthConfig>,
    /// Caches that results are taken from.
    pub cache_from: Vec<CacheEntry>,
    /// Caches that results are given to.
    pub cache_to: Vec<CacheEntry>,
    /// Names of the key agents that the client lends.
    pub ssh: Vec<String>,
    /// Annotations of what is pushed or sent as an archive; the engine's own store has no place for them.
    pub annotations: Vec<Annotation>,
}

/// What comes out of a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Export {
    /// An image in the engine.
    #[default]
    Image,
    /// Images for several platforms, and an index of them, in the registries of the names.
    Push,
    /// A tar of the files, sent to the client; of several platforms each in a folder `os_architecture`.
    Files,
    /// An archive of the image, or of an index of images for several platforms, sent to the client.
    Archive,
    /// Nothing: the steps are only done.
    Nothing,
    /// Nothing is done: the checks are all that is wanted.
    Check,
}

/// A question of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Its number.
    pub id: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub what: What,
}

/// What the engine can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
pub enum What {
    /// What is in a folder: an [`Entry`] a line, parents before children.
    List {
        /// Name of the context.
        context: String,
    },
    /// Contents of files: of each in turn its length in eight bytes, big-endian, and its bytes.
    Fetch {
        /// Name of the context.
        context: String,
        /// The files.
        paths: Vec<String>,
    },
    /// The build context as a tar, which may be compressed.
    Archive,
    /// A secret.
    Secret {
        /// Its name.
        name: String,
    },
    /// An answer of a key agent.
    Agent {
        /// Name of the agent.
        name: String,
        /// Number of the connection to it, which is made for the first message.
        connection: u64,
        /// The message, without its length. An empty one ends the connection and has an empty answer.
        message: Vec<u8>,
    },
    /// A file of a cache in a folder of the client.
    Cache {
        /// Place of the cache in [`Request::cache_from`].
        cache: usize,
        /// `index.json`, or the digest of a blob.
        file: String,
    },
}

/// Something in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// `/`-separated, without a leading one.
    #[serde(rename = "p")]
    pub path: String,
    /// Mode with the kind of file, as stat(2) has it.
    #[serde(rename = "m")]
    pub mode: u32,
    /// Length in bytes.
    #[serde(rename = "s")]
    pub size: u64,
    /// Modification time: seconds, nanoseconds.
    #[serde(rename = "t")]
    pub mtime: (i64, u32),
    /// Inode, and change time in nanoseconds: with path, length and modification time, what shows that a file is
    /// unchanged.
    #[serde(rename = "i")]
    pub stamp: (u64, i64),
    /// Target of a link.
    #[serde(rename = "l", skip_serializing_if = "String::is_empty")]
    pub link: String,
}

impl Entry {
    /// Adds the entry's line to a part of the answer to [`What::List`].
    ///
    /// # Errors
    /// None that is known: everything in it can be JSON.
    pub fn append_to(&self, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(&mut *lines, self)?;
        lines.push(b'\n');
        Ok(())
    }
}

/// What happens in a build. Steps are numbered from 0 as they stand in the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A step has begun.
    Started {
        /// Its number.
        step: u32,
        /// As progress shows it.
        name: String,
    },
    /// Its result was known.
    Cached {
        /// Its number.
        step: u32,
    },
    /// It is done with a part of its work.
    Status {
        /// Its number.
        step: u32,
        /// Which.
        text: String,
    },
    /// It is done.
    Done {
        /// Its number.
        step: u32,
    },
    /// It failed.
    Failed {
        /// Its number.
        step: u32,
        /// Why.
        error: String,
    },
}

/// What a build ended in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Ids of the images.
    pub images: Vec<String>,
    /// Digest of the index of images for several platforms.
    pub index: Option<String>,
    /// Findings of the checks.
    pub warnings: Vec<Warning>,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// A finding of the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Warning {
    /// Name of the check.
    pub check: String,
    /// What was found.
    pub message: String,
    /// What the check is about.
    pub description: String,
    /// First and last line, from 1.
    pub lines: (usize, usize),
}

/// Why a build failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The message.
    pub message: String,
    /// First and last line of the Dockerfile it is about, from 1.
    pub lines: Option<(usize, usize)>,
    /// The step that failed.
    pub step: Option<u32>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let bytes = Frame::numbered(Frame::DATA, 7, b"abc");
        let (kind, length) = Frame::parse_head(*bytes.first_chunk().unwrap()).unwrap();
        assert_eq!((kind, length), (Frame::DATA, 7));
        let frame = Frame { kind, payload: bytes[HEAD..].to_vec() };
        assert_eq!(frame.number(), Some((7, &b"abc"[..])));
        assert_eq!(Frame::parse_head([1, 255, 0, 0, 0]), None);
    }

    #[test]
    fn questions_are_flat() {
        let ask = Ask { id: 1, what: What::Secret { name: "s".to_owned() } };
        let text = serde_json::to_string(&ask).unwrap();
        assert_eq!(text, r#"{"id":1,"ask":"secret","name":"s"}"#);
        assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), ask);
    }
}

//! What a build consists of: steps that depend on each other, and the images they end in.
//!
//! A graph is plain data and complete: variables are expanded, stages resolved, only what the target needs is in it.
//! Each node stands for a file system; its place in the list is after everything it depends on. The same graph with the
//! same inputs gives the same file systems, so a node's key is a hash of its own words and of its inputs' keys.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use wharf_oci::image::{History, RunConfig};
use wharf_oci::{Digest, Platform};

/// Place of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub usize);

/// All steps of a build, each after those it depends on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// The steps.
    pub nodes: Vec<Node>,
    /// The images that are wanted, one for each platform.
    pub outputs: Vec<Output>,
    /// What each instruction comes to, if that was asked for.
    pub milestones: Vec<Milestone>,
    /// Warnings of the build checks, for whoever asked for the build.
    pub warnings: Vec<crate::Warning>,
}

/// A step.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is done.
    pub op: Op,
    /// As progress shows it: `[build 2/3] RUN make`; empty for what it does not show.
    pub name: String,
    /// Lines of the Dockerfile it comes from, counted from 1; none for what no instruction names.
    pub lines: Option<RangeInclusive<usize>>,
    /// Name of the stage, or its number; what `--no-cache-filter` refers to.
    pub stage: String,
    /// Whether the result must not come from the cache (`--no-cache`, `--no-cache-filter`).
    pub no_cache: bool,
    /// Platform of the stage.
    pub platform: Platform,
    /// Later times of what it makes become this one, in seconds since the epoch.
    pub newest: Option<i64>,
}

/// What a step does. Its result is a file system.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// An empty one.
    Scratch,
    /// That of an image.
    Image(ImageSource),
    /// Files of the client: the build context, or a named one.
    Context(ContextSource),
    /// A file from the web, alone in the root.
    Http(HttpSource),
    /// A commit of a repository.
    Git(GitSource),
    /// A command is run in a file system.
    Run(Box<RunStep>),
    /// Files are put into a file system.
    Copy(Box<CopyStep>),
    /// A folder is made in a file system, if it is not there: `WORKDIR`.
    Mkdir(MkdirStep),
    /// What one node made is put over another: the second half of `COPY --link`.
    Merge(MergeStep),
}

/// An image that was resolved while planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// Canonical name, `docker.io/library/alpine:3.20`, with the digest if one was given.
    pub reference: String,
    /// Id of the image: the digest of its configuration.
    pub id: Digest,
}

/// Files that the client holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSource {
    /// `""` for the build context, else the name of `--build-context`.
    pub name: String,
    /// Paths that the steps using it need, `/`-separated without a leading one and with wildcards as written; empty for
    /// all. What `.dockerignore` leaves out is left out in any case.
    pub paths: Vec<String>,
}

/// A file from the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSource {
    /// `http://` or `https://`.
    pub url: String,
    /// Digest the file must have.
    pub checksum: Option<Digest>,
    /// Name the file gets in the root.
    pub file_name: String,
}

/// A commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// Where to clone from, without fragment.
    pub remote: String,
    /// Branch, tag or commit; the remote's `HEAD` if empty.
    pub reference: String,
    /// Folder in the repository that becomes the root; the whole if empty.
    pub subdir: String,
    /// Commit the reference must stand for.
    pub checksum: Option<String>,
    /// Whether `.git` stays.
    pub keep_git_dir: bool,
    /// Whether repositories in it are cloned too.
    pub submodules: bool,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunStep {
    /// The file system it runs in.
    pub root: NodeId,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value`: variables of the image, and build arguments in scope.
    pub env: Vec<String>,
    /// Variables that are no part of the key: predefined proxy arguments.
    pub hidden_env: Vec<String>,
    /// Folder it starts in, absolute.
    pub cwd: String,
    /// `user[:group]`; root if empty.
    pub user: String,
    /// What else is mounted, in order.
    pub mounts: Vec<Mount>,
    /// Scripts of here-documents by the path at which they are mounted read-only: `/dev/pipes/EOF`.
    pub scripts: BTreeMap<String, String>,
    /// Network it has.
    pub network: RunNetwork,
    /// `--security=insecure`: with all capabilities and without confinement.
    pub insecure: bool,
    /// `--device`: names of devices.
    pub devices: Vec<String>,
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunNetwork {
    /// What the build was given.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's.
    Host,
}

/// `RUN --mount`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// Absolute path in the step; empty only for a secret that is given as a variable alone.
    pub target: String,
    /// What is there.
    pub kind: MountKind,
}

/// What `RUN --mount` mounts.
#[derive(Debug, Clone, PartialEq)]
pub enum MountKind {
    /// Files of another node. What is written there is dropped afterwards.
    Bind {
        /// The node.
        from: NodeId,
        /// Absolute path in it.
        source: String,
        /// Whether it can be written to.
        writable: bool,
    },
    /// A folder that outlives the build.
    Cache {
        /// Name of the cache.
        id: String,
        /// Who may use it at the same time.
        sharing: Sharing,
        /// What it starts with: a node and an absolute path in it.
        from: Option<(NodeId, String)>,
        /// Whether it cannot be written to.
        read_only: bool,
        /// Permissions and owner of a new one.
        mode: u32,
        /// Owner of a new one.
        uid: u32,
        /// Group of a new one.
        gid: u32,
    },
    /// An empty one in memory, of at most so many bytes.
    Tmpfs {
        /// Limit in bytes.
        size: Option<u64>,
    },
    /// A secret of the client.
    Secret {
        /// Its name.
        id: String,
        /// Whether the step fails without it.
        required: bool,
        /// Variable that gets it.
        env: Option<String>,
        /// Permissions of the file.
        mode: u32,
        /// Owner of the file.
        uid: u32,
        /// Group of the file.
        gid: u32,
    },
    /// The client's key agent, as a socket; `SSH_AUTH_SOCK` names the first.
    Ssh {
        /// Its name.
        id: String,
        /// Whether the step fails without it.
        required: bool,
        /// Permissions of the socket.
        mode: u32,
        /// Owner of the socket.
        uid: u32,
        /// Group of the socket.
        gid: u32,
    },
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Each concurrent user has one of its own.
    Private,
    /// One after the other.
    Locked,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyStep {
    /// The file system that is copied into.
    pub root: NodeId,
    /// What is copied, in order.
    pub sources: Vec<CopySource>,
    /// Absolute destination, cleaned; ends in `/` if it must be a folder.
    pub destination: String,
    /// `--chown` as written, resolved in the accounts of `root`; root's if none.
    pub chown: Option<String>,
    /// `--chmod`: octal, or symbolic as chmod(1) has it.
    pub chmod: Option<String>,
    /// `--parents`: paths of sources are kept below the destination, from a `/./` on.
    pub parents: bool,
    /// `--exclude` patterns, as in `.dockerignore`.
    pub exclude: Vec<String>,
}

/// One source of a copy.
#[derive(Debug, Clone, PartialEq)]
pub enum CopySource {
    /// Files of a node: a path or pattern from its root, `/`-separated with a leading `/`. Go's `filepath.Match`; `**` with
    /// `--parents` only.
    Node {
        /// The node.
        from: NodeId,
        /// Path or pattern.
        path: String,
        /// Whether archives are unpacked: `ADD` does it with files of a context, `--unpack` says it for all.
        unpack: bool,
    },
    /// A here-document.
    Inline {
        /// Name of the file if the destination is a folder.
        name: String,
        /// Content.
        content: String,
    },
}

/// `WORKDIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MkdirStep {
    /// The file system.
    pub root: NodeId,
    /// Absolute path, made with its parents, mode 0755.
    pub path: String,
    /// Whose they are, as `USER` has it; root's if empty.
    pub user: String,
}

/// Two file systems, one over the other.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeStep {
    /// The file system below.
    pub lower: NodeId,
    /// A copy on nothing, whose layer comes on top.
    pub upper: NodeId,
    /// The same copy onto `lower`. It is done where the layer on top would change folders that are below, or hide what
    /// a link leads to.
    pub copy: Box<CopyStep>,
}

/// What a stage has come to after an instruction: the image it would end in there.
#[derive(Debug, Clone, PartialEq)]
pub struct Milestone {
    /// Lines of the instruction.
    pub lines: RangeInclusive<usize>,
    /// The image.
    pub output: Output,
}

/// An image that a build ends in.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its file system.
    pub root: NodeId,
    /// Platform it is for.
    pub platform: Platform,
    /// Author.
    pub author: String,
    /// What a container of it runs.
    pub config: RunConfig,
    /// What this build adds to the history, oldest first, and after which node each entry stands; layers are matched to
    /// entries by these nodes. An entry without a node has `empty_layer`.
    pub history: Vec<(History, Option<NodeId>)>,
    /// The image it is based on; its layers and history come first.
    pub base: Option<ImageSource>,
}

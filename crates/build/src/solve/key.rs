//! What a step's result is a function of: its own words and what its inputs are. The words do not contain the numbers of
//! nodes, which change when a stage is added elsewhere.

use std::fmt::Write as _;

use wharf_oci::{Algorithm, Digest, Hasher};

use crate::graph::{CopySource, CopyStep, Mount, MountKind, Node, NodeId, Op, RunStep};

/// Raised when the same words come to mean something else.
const VERSION: &str = "wharf build 1";

/// The nodes a step works on, in the order in which its words name them.
pub fn inputs(op: &Op) -> Vec<NodeId> {
    match op {
        Op::Scratch | Op::Image(_) | Op::Context(_) | Op::Http(_) | Op::Git(_) => Vec::new(),
        Op::Mkdir(step) => vec![step.root],
        Op::Run(step) => std::iter::once(step.root).chain(step.mounts.iter().filter_map(mounted)).collect(),
        Op::Copy(step) => {
            let from = step.sources.iter().filter_map(|source| match source {
                CopySource::Node { from, .. } => Some(*from),
                CopySource::Inline { .. } => None,
            });
            std::iter::once(step.root).chain(from).collect()
        }
    }
}

fn mounted(mount: &Mount) -> Option<NodeId> {
    match &mount.kind {
        MountKind::Bind { from, .. } => Some(*from),
        MountKind::Cache { from, .. } => from.as_ref().map(|(node, _)| *node),
        MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => None,
    }
}

/// Whether a step only gets something from outside; such a step has no key.
pub(super) fn is_source(op: &Op) -> bool {
    matches!(op, Op::Scratch | Op::Image(_) | Op::Context(_) | Op::Http(_) | Op::Git(_))
}

/// The key of a step whose inputs have these fingerprints, in the order of [`inputs`].
pub fn key(node: &Node, fingerprints: &[String]) -> Digest {
    let mut words = Words::default();
    words.add(VERSION);
    words.add(&node.platform.to_string());
    match &node.op {
        Op::Run(step) => run(&mut words, step),
        Op::Copy(step) => copy(&mut words, step),
        Op::Mkdir(step) => words.all("mkdir", [&step.path]),
        Op::Scratch | Op::Image(_) | Op::Context(_) | Op::Http(_) | Op::Git(_) => words.add("source"),
    }
    words.all("inputs", fingerprints);
    words.0.finish()
}

/// Hashes texts so that no two lists of texts give the same.
struct Words(Hasher);

impl Default for Words {
    fn default() -> Self {
        Self(Hasher::new(Algorithm::Sha256))
    }
}

impl Words {
    fn add(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn all<'a, T: AsRef<str> + 'a + ?Sized>(&mut self, name: &str, texts: impl IntoIterator<Item = &'a T>) {
        self.add(name);
        let mut count = 0u64;
        for text in texts {
            self.add(text.as_ref());
            count += 1;
        }
        self.add(&count.to_string());
    }
}

fn run(words: &mut Words, step: &RunStep) {
    words.all("run", &step.args);
    words.all("env", &step.env);
    words.all("in", [&step.cwd, &step.user]);
    for mount in &step.mounts {
        words.add(&mount.target);
        words.add(&mount_words(&mount.kind));
    }
    for (path, script) in &step.scripts {
        words.all("script", [path, script]);
    }
    words.add(&format!("{:?} {}", step.network, step.insecure));
    words.all("devices", &step.devices);
}

/// A mount as far as it matters: what a cache or secret holds does not.
fn mount_words(kind: &MountKind) -> String {
    match kind {
        MountKind::Bind { source, writable, .. } => format!("bind {writable} {source}"),
        MountKind::Cache { id, from, .. } => {
            let source = from.as_ref().map(|(_, path)| path.as_str()).unwrap_or_default();
            format!("cache {id} {source}")
        }
        MountKind::Tmpfs { .. } => "tmpfs".to_owned(),
        MountKind::Secret { id, env, mode, uid, gid, .. } => {
            format!("secret {id} {mode:o} {uid} {gid} {}", env.as_deref().unwrap_or_default())
        }
        MountKind::Ssh { id, mode, uid, gid, .. } => format!("ssh {id} {mode:o} {uid} {gid}"),
    }
}

fn copy(words: &mut Words, step: &CopyStep) {
    words.all("copy to", [&step.destination]);
    for source in &step.sources {
        match source {
            CopySource::Node { path, .. } => words.all("node", [path]),
            CopySource::Inline { name, content } => words.all("inline", [name, content]),
        }
    }
    let mut flags = String::new();
    let _ = write!(flags, "{:?} {:?} {} {} {}", step.chown, step.chmod, step.link, step.parents, step.unpack);
    words.add(&flags);
    words.all("exclude", &step.exclude);
}

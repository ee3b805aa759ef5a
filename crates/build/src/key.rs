//! What a step is, in bytes: its own words without its inputs. The same words on the same inputs give the same files.

use wharf_oci::{Digest, Hasher};

use crate::graph::{CopySource, CopyStep, Mount, MountKind, NodeId, Op, RunStep};

impl Op {
    /// Digest of the step's own words. Inputs are not in it, nor what must not change a result: predefined proxy
    /// arguments, and for files of the client all but the name.
    pub fn digest(&self) -> Digest {
        let mut words = Words(Hasher::sha256());
        self.write(&mut words);
        words.0.finish()
    }

    /// The nodes it depends on, in the order of its words; the same node may come more than once.
    pub fn inputs(&self) -> Vec<NodeId> {
        match self {
            Self::Scratch | Self::Image(_) | Self::Context(_) | Self::Http(_) | Self::Git(_) => Vec::new(),
            Self::Run(step) => {
                std::iter::once(step.root).chain(step.mounts.iter().filter_map(mounted)).collect()
            }
            Self::Copy(step) => {
                std::iter::once(step.root).chain(step.sources.iter().filter_map(copied)).collect()
            }
            Self::Mkdir(step) => vec![step.root],
            Self::Merge(step) => {
                let copied = step.copy.sources.iter().filter_map(copied);
                [step.lower, step.upper].into_iter().chain(copied).collect()
            }
        }
    }

    fn write(&self, words: &mut Words) {
        match self {
            Self::Scratch => words.list("scratch", [""; 0]),
            Self::Image(image) => words.list("image", [image.id.as_str()]),
            Self::Context(context) => words.list("context", [context.name.as_str()]),
            Self::Http(http) => {
                let checksum = http.checksum.as_ref().map_or("", Digest::as_str);
                words.list("http", [http.url.as_str(), checksum, &http.file_name]);
            }
            Self::Git(git) => words.list(
                "git",
                [
                    git.remote.as_str(),
                    &git.reference,
                    &git.subdir,
                    git.checksum.as_deref().unwrap_or(""),
                    if git.keep_git_dir { "keep" } else { "" },
                    if git.submodules { "" } else { "alone" },
                ],
            ),
            Self::Run(step) => run(step, words),
            Self::Copy(step) => copy(step, words),
            Self::Mkdir(step) => words.list("mkdir", [&step.path, &step.user]),
            Self::Merge(step) => {
                words.list("merge", [""; 0]);
                copy(&step.copy, words);
            }
        }
    }
}

fn mounted(mount: &Mount) -> Option<NodeId> {
    match &mount.kind {
        MountKind::Bind { from, .. } | MountKind::Cache { from: Some((from, _)), .. } => Some(*from),
        _ => None,
    }
}

fn copied(source: &CopySource) -> Option<NodeId> {
    match source {
        CopySource::Node { from, .. } => Some(*from),
        CopySource::Inline { .. } => None,
    }
}

fn run(step: &RunStep, words: &mut Words) {
    words.list("run", &step.args);
    words.list("env", &step.env);
    words.list("in", [&step.cwd, &step.user]);
    for mount in &step.mounts {
        words.list(&mount.target, [format!("{:?}", without_node(&mount.kind))]);
    }
    for (path, text) in &step.scripts {
        words.list("script", [path, text]);
    }
    words.list("network", [format!("{:?}", step.network)]);
    words.list("insecure", [step.insecure.to_string()]);
    words.list("devices", &step.devices);
}

/// Places of nodes differ between builds that do the same.
fn without_node(kind: &MountKind) -> MountKind {
    let mut kind = kind.clone();
    match &mut kind {
        MountKind::Bind { from, .. } | MountKind::Cache { from: Some((from, _)), .. } => *from = NodeId(0),
        _ => {}
    }
    kind
}

fn copy(step: &CopyStep, words: &mut Words) {
    words.list("copy", [&step.destination]);
    for source in &step.sources {
        match source {
            CopySource::Node { path, unpack, .. } => words.list("from", [path, &unpack.to_string()]),
            CopySource::Inline { name, content } => words.list("inline", [name, content]),
        }
    }
    words.list("owner", step.chown.as_slice());
    words.list("mode", step.chmod.as_slice());
    words.list("flags", [step.parents.to_string()]);
    words.list("exclude", &step.exclude);
}

/// Lists of words, written so that no two different ones look the same.
struct Words(Hasher);

impl Words {
    fn word(&mut self, word: &str) {
        self.0.update(&(word.len() as u64).to_le_bytes());
        self.0.update(word.as_bytes());
    }

    fn list<S: AsRef<str>>(&mut self, name: &str, items: impl IntoIterator<Item = S>) {
        let items: Vec<S> = items.into_iter().collect();
        self.word(name);
        self.0.update(&(items.len() as u64).to_le_bytes());
        for item in &items {
            self.word(item.as_ref());
        }
    }
}

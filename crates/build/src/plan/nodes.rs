//! The graph as it grows: equal steps become one node.

use std::collections::{BTreeSet, HashMap};

use wharf_oci::{Digest, Platform};

use super::PlanError;
use crate::graph::{ContextSource, Milestone, Node, NodeId, Op};

/// Most bytes that the words of all steps may have together.
const LONGEST_GRAPH: usize = 256 << 20;

/// Most bytes that what instructions come to may have together, about.
const LONGEST_MILESTONES: usize = 64 << 20;

/// What makes two steps the same.
type Identity = (Digest, Vec<NodeId>, String, bool);

#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    known: HashMap<Identity, NodeId>,
    contexts: HashMap<String, (NodeId, BTreeSet<String>)>,
    bytes: usize,
    pub(super) milestones: Vec<Milestone>,
    /// About how many bytes they take.
    milestone_bytes: usize,
}

impl Nodes {
    /// Remembers what an instruction comes to; not of a file with so many that it would take too much memory.
    pub(super) fn milestone(&mut self, milestone: Milestone, bytes: usize) {
        self.milestone_bytes += bytes;
        if self.milestone_bytes <= LONGEST_MILESTONES {
            self.milestones.push(milestone);
        }
    }

    /// The node that is like this one; itself if there was none.
    pub(super) fn push(&mut self, node: Node) -> Result<NodeId, PlanError> {
        let identity = (node.op.digest(), node.op.inputs(), node.platform.to_string(), node.no_cache);
        if let Some(id) = self.known.get(&identity) {
            return Ok(*id);
        }
        self.bytes += weight(&node.op);
        if self.bytes > LONGEST_GRAPH {
            return Err(PlanError::new(format!("the build's steps are longer than {LONGEST_GRAPH} bytes")));
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        self.known.insert(identity, id);
        Ok(id)
    }

    /// Files of the client, of which `path` is needed, if it is not empty.
    pub(super) fn context(&mut self, name: &str, path: &str, platform: &Platform) -> NodeId {
        if let Some((id, paths)) = self.contexts.get_mut(name) {
            paths.insert(path.to_owned());
            return *id;
        }
        let shown = match name {
            "" => "[internal] load build context".to_owned(),
            name => format!("[context {name}] load from client"),
        };
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            op: Op::Context(ContextSource { name: name.to_owned(), paths: Vec::new() }),
            name: shown,
            lines: None,
            stage: String::new(),
            no_cache: false,
            platform: platform.clone(),
            newest: None,
        });
        self.contexts.insert(name.to_owned(), (id, BTreeSet::from([path.to_owned()])));
        id
    }

    /// The op of a node.
    pub(super) fn op(&self, id: NodeId) -> Option<&Op> {
        self.nodes.get(id.0).map(|node| &node.op)
    }

    /// All nodes; each context knows what is needed of it.
    pub(super) fn finish(mut self) -> Vec<Node> {
        for (id, paths) in self.contexts.into_values() {
            // The root is everything.
            let paths = if paths.contains("/") { BTreeSet::new() } else { paths };
            if let Op::Context(context) = &mut self.nodes[id.0].op {
                let needed = paths.iter().filter(|path| !path.is_empty());
                context.paths = needed.map(|path| path.trim_start_matches('/').to_owned()).collect();
            }
        }
        self.nodes
    }
}

/// About how many bytes a step takes.
fn weight(op: &Op) -> usize {
    let sum = |items: &[String]| items.iter().map(String::len).sum::<usize>();
    match op {
        Op::Run(step) => {
            sum(&step.args) + sum(&step.env) + step.scripts.values().map(String::len).sum::<usize>()
        }
        Op::Copy(step) => format!("{:?}", step.sources).len(),
        _ => 256,
    }
}

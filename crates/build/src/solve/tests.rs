#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use wharf_oci::Platform;

use super::*;
use crate::graph::{CopyStep, MergeStep, MkdirStep, Op};

/// Counts what is done; the value of a step is its path.
#[derive(Default)]
struct Counting {
    cache: Mutex<HashMap<Digest, String>>,
    executed: AtomicUsize,
    together: Option<Barrier>,
    aborted: AtomicUsize,
    /// Values that are known only.
    known: Mutex<Vec<&'static str>>,
}

impl Worker for Counting {
    type Value = String;
    type Error = String;

    fn source(&self, _: NodeId, _: &Node) -> Result<String, String> {
        Ok(String::new())
    }

    fn fingerprint(&self, _: &Node, _: NodeId, value: &String) -> Result<String, String> {
        Ok(value.clone())
    }

    fn cached(&self, _: &Node, key: &Digest) -> Result<Option<String>, String> {
        Ok(self.cache.lock().unwrap().get(key).cloned())
    }

    fn execute(
        &self,
        _: NodeId,
        node: &Node,
        inputs: &[(NodeId, String)],
        key: &Digest,
    ) -> Result<String, String> {
        let path = match &node.op {
            Op::Mkdir(step) => &step.path,
            Op::Merge(step) => &step.copy.destination,
            _ => return Err("no step".to_owned()),
        };
        if path == "bad" {
            return Err("it is bad".to_owned());
        }
        if let Some(barrier) = &self.together {
            barrier.wait();
        }
        self.executed.fetch_add(1, Ordering::SeqCst);
        let value = format!("{}/{path}", inputs[0].1);
        self.known.lock().unwrap().retain(|known| *known != value);
        self.cache.lock().unwrap().insert(key.clone(), value.clone());
        Ok(value)
    }

    fn merge(&self, lower: &String, upper: &String) -> Result<Option<String>, String> {
        Ok((lower != "/linked").then(|| format!("{lower}+{upper}")))
    }

    fn at_hand(&self, value: &String) -> Result<Option<String>, String> {
        let known = self.known.lock().unwrap().contains(&value.as_str());
        Ok((!known).then(|| value.clone()))
    }

    fn progress(&self, _: NodeId, _: Stage<'_, String, String>) {}

    fn abort(&self) {
        self.aborted.fetch_add(1, Ordering::SeqCst);
    }
}

fn node(op: Op) -> Node {
    Node {
        op,
        name: String::new(),
        lines: None,
        stage: String::new(),
        no_cache: false,
        platform: Platform::host(),
        newest: None,
    }
}

fn mkdir(root: usize, path: &str) -> Node {
    node(Op::Mkdir(MkdirStep { root: NodeId(root), path: path.to_owned(), user: String::new() }))
}

fn merge(lower: usize, upper: usize) -> Node {
    let (lower, upper) = (NodeId(lower), NodeId(upper));
    let copy = CopyStep {
        root: lower,
        sources: Vec::new(),
        destination: "copied".to_owned(),
        chown: None,
        chmod: None,
        parents: false,
        exclude: Vec::new(),
    };
    node(Op::Merge(MergeStep { lower, upper, copy: Box::new(copy) }))
}

fn graph(nodes: Vec<Node>) -> Graph {
    Graph { nodes, ..Graph::default() }
}

#[test]
fn a_step_is_done_once() {
    let worker = Counting::default();
    let graph = graph(vec![node(Op::Scratch), mkdir(0, "a"), mkdir(1, "b"), mkdir(0, "a"), mkdir(3, "b")]);
    let values = solve(&graph, &worker, &Claims::default(), &[]).unwrap();
    assert_eq!(values, ["", "/a", "/a/b", "/a", "/a/b"]);
    assert_eq!(worker.executed.load(Ordering::SeqCst), 2);
    solve(&graph, &worker, &Claims::default(), &[]).unwrap();
    assert_eq!(worker.executed.load(Ordering::SeqCst), 2);
    let mut again = graph.clone();
    again.nodes[1].no_cache = true;
    solve(&again, &worker, &Claims::default(), &[]).unwrap();
    assert_eq!(worker.executed.load(Ordering::SeqCst), 3);
}

#[test]
fn what_is_merged_does_not_depend_on_what_is_below() {
    let worker = Counting::default();
    let graph = graph(vec![node(Op::Scratch), mkdir(0, "a"), mkdir(0, "b"), merge(1, 2), mkdir(3, "c")]);
    let values = solve(&graph, &worker, &Claims::default(), &[]).unwrap();
    assert_eq!(values[3..], ["/a+/b", "/a+/b/c"]);
    let mut other = graph.clone();
    other.nodes[1] = mkdir(0, "other");
    assert_eq!(solve(&other, &worker, &Claims::default(), &[]).unwrap()[3], "/other+/b");
    assert_eq!(worker.executed.load(Ordering::SeqCst), 5, "b is done once");
    // Where it cannot be put on top, it is done there.
    other.nodes[1] = mkdir(0, "linked");
    assert_eq!(solve(&other, &worker, &Claims::default(), &[]).unwrap()[3], "/linked/copied");
}

#[test]
fn what_is_only_known_is_done_when_it_is_needed() {
    let worker = Counting::default();
    let steps = vec![node(Op::Scratch), mkdir(0, "a"), mkdir(1, "b"), mkdir(2, "c")];
    let known = graph(steps.clone());
    solve(&known, &worker, &Claims::default(), &[]).unwrap();
    *worker.known.lock().unwrap() = vec!["/a", "/a/b"];
    solve(&known, &worker, &Claims::default(), &[NodeId(3)]).unwrap();
    assert_eq!(worker.executed.load(Ordering::SeqCst), 3, "nothing lacks them");
    let more = graph([steps, vec![mkdir(2, "d")]].concat());
    solve(&more, &worker, &Claims::default(), &[]).unwrap();
    assert_eq!(worker.executed.load(Ordering::SeqCst), 6, "two after all, and the new one");
    *worker.known.lock().unwrap() = vec!["/a/b"];
    solve(&known, &worker, &Claims::default(), &[NodeId(2)]).unwrap();
    assert_eq!(worker.executed.load(Ordering::SeqCst), 7, "wanted at the end");
}

#[test]
fn independent_steps_run_side_by_side() {
    let worker = Counting { together: Some(Barrier::new(3)), ..Counting::default() };
    let graph = graph(vec![node(Op::Scratch), mkdir(0, "a"), mkdir(0, "b"), mkdir(0, "c")]);
    solve(&graph, &worker, &Claims::default(), &[]).unwrap();
    assert_eq!(worker.executed.load(Ordering::SeqCst), 3);
}

#[test]
fn the_first_failure_ends_the_rest() {
    let worker = Counting::default();
    let graph = graph(vec![node(Op::Scratch), mkdir(0, "bad"), mkdir(1, "b")]);
    let failed = solve(&graph, &worker, &Claims::default(), &[]).unwrap_err();
    assert_eq!((failed.node, failed.error.as_str()), (NodeId(1), "it is bad"));
    assert_eq!(worker.executed.load(Ordering::SeqCst), 0);
    assert_eq!(worker.aborted.load(Ordering::SeqCst), 1);
}

#[test]
fn keys_tell_steps_apart() {
    let of = |node: Node, print: &str| key::key(&node, &[print.to_owned()]);
    assert_eq!(of(mkdir(0, "a"), "x"), of(mkdir(7, "a"), "x"));
    assert_ne!(of(mkdir(0, "a"), "x"), of(mkdir(0, "b"), "x"));
    assert_ne!(of(mkdir(0, "a"), "x"), of(mkdir(0, "a"), "y"));
    let until = Node { newest: Some(1), ..mkdir(0, "a") };
    assert_ne!(of(mkdir(0, "a"), "x"), of(until, "x"), "a layer with other times is another");
}

//! Walking a graph: every step after what it depends on, independent ones side by side, none whose result is known.
//!
//! - [`solve`]: the walk; [`Worker`]: what does the work, and so the seam between this crate and an engine
//! - [`Claims`]: concurrent builds with the same step do it once
//! - `key`: what a step's result is a function of

mod claims;
mod key;

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use wharf_oci::Digest;

pub use self::claims::{Claim, Claims};
use crate::graph::{Graph, Node, NodeId, Op};

/// Steps that run at the same time, at most.
const LIMIT: usize = 8;

/// Does the steps. A value stands for the file system or the files a step ends in.
pub trait Worker: Sync {
    /// What a step ends in; cheap to clone.
    type Value: Clone + Send + Sync;
    /// Why one failed.
    type Error: Send;

    /// Gets what comes from outside: images, files of the client or the web.
    ///
    /// # Errors
    /// It cannot be had.
    fn source(&self, id: NodeId, node: &Node) -> Result<Self::Value, Self::Error>;

    /// What stands for an input in the key of a step: the same text if and only if the step would find the same in it.
    ///
    /// # Errors
    /// The input lacks what the step wants of it.
    fn fingerprint(&self, node: &Node, input: NodeId, value: &Self::Value) -> Result<String, Self::Error>;

    /// The result that is known for a key.
    ///
    /// # Errors
    /// The cache cannot be read.
    fn cached(&self, node: &Node, key: &Digest) -> Result<Option<Self::Value>, Self::Error>;

    /// Does a step and remembers its result under the key. The values of the inputs are in the order of [`Op::inputs`](crate::graph::Op::inputs).
    ///
    /// # Errors
    /// It fails or is cancelled.
    fn execute(
        &self,
        id: NodeId,
        node: &Node,
        inputs: &[(NodeId, Self::Value)],
        key: &Digest,
    ) -> Result<Self::Value, Self::Error>;

    /// Puts what one step made over the file system of another; `None` if that would be another result than to do the
    /// step there. It takes no time worth telling: all that is heard of it is that it is done.
    ///
    /// # Errors
    /// It cannot be put there.
    fn merge(&self, lower: &Self::Value, upper: &Self::Value) -> Result<Option<Self::Value>, Self::Error>;

    /// The same value, at hand for other steps to work on; `None` if all that is known of it is what it would be, so that
    /// its step has to be done after all.
    ///
    /// # Errors
    /// It comes from outside and cannot be had.
    fn at_hand(&self, value: &Self::Value) -> Result<Option<Self::Value>, Self::Error>;

    /// Hears how far a step is.
    fn progress(&self, id: NodeId, stage: Stage<'_, Self::Value, Self::Error>);

    /// Ends what runs, since its result is of no use any more. Steps that are executing then fail.
    fn abort(&self);
}

/// How far a step is.
#[derive(Debug)]
pub enum Stage<'a, V, E> {
    /// It has begun.
    Started,
    /// It was not done, because its result is known.
    Cached(&'a V),
    /// It is done.
    Done(&'a V),
    /// It failed.
    Failed(&'a E),
}

/// Why a build failed.
#[derive(Debug)]
pub struct Failed<E> {
    /// At which step.
    pub node: NodeId,
    /// What happened.
    pub error: E,
}

/// Does everything in the graph and returns what each step ended in. The values of `wanted` are at hand then; others may
/// be known only.
///
/// # Errors
/// The first step that failed; the others have ended by then.
pub fn solve<W: Worker>(
    graph: &Graph,
    worker: &W,
    claims: &Claims,
    wanted: &[NodeId],
) -> Result<Vec<W::Value>, Failed<W::Error>> {
    let dependencies: Vec<Vec<NodeId>> = graph.nodes.iter().map(|node| node.op.inputs()).collect();
    let walk = Walk {
        graph,
        worker,
        claims,
        state: Mutex::new(State {
            values: graph.nodes.iter().map(|_| None).collect(),
            waiting: (0..graph.nodes.len()).collect(),
            failed: None,
        }),
        dependencies,
        changed: Condvar::new(),
        redoing: Mutex::default(),
    };
    thread::scope(|scope| {
        for _ in 1..LIMIT.min(graph.nodes.len()) {
            scope.spawn(|| walk.run());
        }
        walk.run();
    });
    walk.fetch(wanted);
    let state = walk.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failed {
        Some(failed) => Err(failed),
        // Without a failure every step has a value.
        None => Ok(state.values.into_iter().flatten().collect()),
    }
}

/// The inputs of a step, in the order of its words.
type Inputs<W> = Vec<(NodeId, <W as Worker>::Value)>;

struct Walk<'a, W: Worker> {
    graph: &'a Graph,
    worker: &'a W,
    claims: &'a Claims,
    dependencies: Vec<Vec<NodeId>>,
    state: Mutex<State<W>>,
    changed: Condvar,
    /// Steps that are done after all are done one after the other: two may lack the same.
    redoing: Mutex<()>,
}

struct State<W: Worker> {
    values: Vec<Option<W::Value>>,
    /// Steps that nobody has begun.
    waiting: BTreeSet<usize>,
    failed: Option<Failed<W::Error>>,
}

impl<W: Worker> Walk<'_, W> {
    /// Takes one step after the other until there is none left or one has failed.
    fn run(&self) {
        while let Some((id, values)) = self.next() {
            let outcome = self.step(id, &values);
            let mut state = self.lock();
            match outcome {
                Ok(value) => state.values[id.0] = Some(value),
                Err(error) => {
                    let first = state.failed.is_none();
                    state.failed.get_or_insert(Failed { node: id, error });
                    if first {
                        drop(state);
                        self.worker.abort();
                    }
                }
            }
            self.changed.notify_all();
        }
    }

    /// The next step whose inputs are there, with them; waits for one.
    fn next(&self) -> Option<(NodeId, Inputs<W>)> {
        let mut state = self.lock();
        loop {
            if state.failed.is_some() || state.waiting.is_empty() {
                return None;
            }
            let ready = |id: &&usize| self.dependencies[**id].iter().all(|on| state.values[on.0].is_some());
            if let Some(&id) = state.waiting.iter().find(ready) {
                state.waiting.remove(&id);
                let value = |on: &NodeId| Some((*on, state.values[on.0].clone()?));
                return Some((NodeId(id), self.dependencies[id].iter().filter_map(value).collect()));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn step(&self, id: NodeId, values: &[(NodeId, W::Value)]) -> Result<W::Value, W::Error> {
        let node = &self.graph.nodes[id.0];
        if let Op::Merge(_) = node.op {
            let value = self.merged_or_executed(id, node, values)?;
            self.worker.progress(id, Stage::Done(&value));
            return Ok(value);
        }
        self.worker.progress(id, Stage::Started);
        let outcome = if key::is_source(&node.op) {
            self.worker.source(id, node).map(|value| (value, false))
        } else {
            self.cached_or_executed(id, node, values)
        };
        match outcome {
            Ok((value, cached)) => {
                self.worker.progress(id, if cached { Stage::Cached(&value) } else { Stage::Done(&value) });
                Ok(value)
            }
            Err(error) => {
                self.worker.progress(id, Stage::Failed(&error));
                Err(error)
            }
        }
    }

    fn merged_or_executed(
        &self,
        id: NodeId,
        node: &Node,
        values: &[(NodeId, W::Value)],
    ) -> Result<W::Value, W::Error> {
        if let [(_, lower), (_, upper)] = self.at_hand(&values[..2])?.as_slice()
            && let Some(value) = self.worker.merge(lower, upper)?
        {
            return Ok(value);
        }
        Ok(self.cached_or_executed(id, node, values)?.0)
    }

    /// The result of a step, and whether it was known.
    fn cached_or_executed(
        &self,
        id: NodeId,
        node: &Node,
        values: &[(NodeId, W::Value)],
    ) -> Result<(W::Value, bool), W::Error> {
        let key = self.key(node, values)?;
        if !node.no_cache
            && let Some(value) = self.worker.cached(node, &key)?
        {
            return Ok((value, true));
        }
        let values = self.at_hand(values)?;
        self.execute(id, node, &values)
    }

    fn key(&self, node: &Node, values: &[(NodeId, W::Value)]) -> Result<Digest, W::Error> {
        let prints = values.iter().map(|(input, value)| self.worker.fingerprint(node, *input, value));
        Ok(key::key(node, &prints.collect::<Result<Vec<_>, _>>()?))
    }

    /// Does a step whose inputs are at hand, unless another build has done it meanwhile.
    fn execute(
        &self,
        id: NodeId,
        node: &Node,
        values: &[(NodeId, W::Value)],
    ) -> Result<(W::Value, bool), W::Error> {
        // Not the key it was looked up by: an input that was done again may have come out differently.
        let key = self.key(node, values)?;
        if node.no_cache {
            return Ok((self.worker.execute(id, node, values, &key)?, false));
        }
        let _claim = self.claims.claim(&key);
        // Whoever held the claim may have done it.
        if let Some(value) = self.worker.cached(node, &key)?
            && let Some(value) = self.worker.at_hand(&value)?
        {
            return Ok((value, true));
        }
        Ok((self.worker.execute(id, node, values, &key)?, false))
    }

    /// The inputs, each at hand.
    fn at_hand(&self, values: &[(NodeId, W::Value)]) -> Result<Inputs<W>, W::Error> {
        values
            .iter()
            .map(|(id, value)| match self.worker.at_hand(value)? {
                Some(value) => Ok((*id, value)),
                None => {
                    let _one = self.redoing.lock().unwrap_or_else(PoisonError::into_inner);
                    Ok((*id, self.redo(*id)?))
                }
            })
            .collect()
    }

    /// Does a step after all whose result was known but cannot be had, and whatever of its inputs cannot be had either.
    fn redo(&self, id: NodeId) -> Result<W::Value, W::Error> {
        let known = self.lock().values[id.0].clone();
        if let Some(known) = &known
            && let Some(value) = self.worker.at_hand(known)?
        {
            return Ok(value);
        }
        let inputs = self.dependencies[id.0].iter().map(|&on| Ok((on, self.redo(on)?)));
        let inputs = inputs.collect::<Result<Inputs<W>, W::Error>>()?;
        let node = &self.graph.nodes[id.0];
        self.worker.progress(id, Stage::Started);
        match self.execute(id, node, &inputs) {
            Ok((value, cached)) => {
                self.worker.progress(id, if cached { Stage::Cached(&value) } else { Stage::Done(&value) });
                self.lock().values[id.0] = Some(value.clone());
                Ok(value)
            }
            Err(error) => {
                self.worker.progress(id, Stage::Failed(&error));
                Err(error)
            }
        }
    }

    /// Gets the values that are wanted at the end.
    fn fetch(&self, wanted: &[NodeId]) {
        for &id in wanted {
            if self.lock().failed.is_some() {
                return;
            }
            match self.redo(id) {
                Ok(value) => self.lock().values[id.0] = Some(value),
                Err(error) => self.lock().failed = Some(Failed { node: id, error }),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "solve/tests.rs"]
mod tests;

//! What the classic builder tells: every instruction in turn, and the image that it came to. These images are kept as that
//! builder keeps them, each made from the one before, so that the last one's removal takes them along.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    sync::Arc,
};

use wharf_api::progress::Progress;
use wharf_build::{
    dockerfile::{Dockerfile, Instruction, Kind},
    graph::{Graph, Milestone, NodeId, Op},
};
use wharf_oci::Digest;

use super::super::{Layers, Report};
use crate::{Engine, Result, ids};

/// Digits of an id that are shown.
const SHOWN: usize = 12;

/// The lines of one build.
pub(super) struct Lines<'a> {
    engine: &'a Arc<Engine>,
    pub(super) report: &'a mut (dyn FnMut(Progress) + Send),
    /// Whether removals are told of: after a step, and after one that failed.
    remove: (bool, bool),
    steps: Vec<Step>,
    /// The instruction that is being told of.
    front: usize,
    /// What the nodes that are done ended in.
    layers: HashMap<NodeId, Arc<Layers>>,
    /// The image that the instruction before came to.
    last: Option<Digest>,
}

/// An instruction, with what there is to tell of it.
#[derive(Default)]
struct Step {
    text: String,
    kind: What,
    /// Its node; metadata has none.
    node: Option<usize>,
    /// What it comes to.
    milestone: Option<Milestone>,
    /// What its process is told to run in.
    place: String,
    /// Whether its first line was told.
    told: bool,
    /// Whether it was told where it runs.
    running: bool,
    done: bool,
    cached: bool,
    output: Vec<u8>,
}

/// What an instruction is to those who watch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum What {
    /// It begins a stage.
    #[default]
    Begin,
    /// It copies.
    Copy,
    /// Something runs, or would if the builder were the old one.
    Run,
}

impl<'a> Lines<'a> {
    pub(super) fn new(
        engine: &'a Arc<Engine>,
        report: &'a mut (dyn FnMut(Progress) + Send),
        remove: (bool, bool),
    ) -> Self {
        Self { engine, report, remove, steps: Vec::new(), front: 0, layers: HashMap::new(), last: None }
    }

    /// Lists the instructions of the stages that are built. Labels of the request are one more.
    pub(super) fn prepare(
        &mut self,
        dockerfile: &Dockerfile,
        graph: &Graph,
        labels: &BTreeMap<String, String>,
    ) {
        let node_at = |range: &RangeInclusive<usize>| {
            graph.nodes.iter().position(|node| node.lines.as_ref() == Some(range))
        };
        let milestone = |range: &RangeInclusive<usize>| {
            graph.milestones.iter().find(|milestone| milestone.lines == *range).cloned()
        };
        for stage in &dockerfile.stages {
            let needed = milestone(&stage.lines).is_some()
                || node_at(&stage.lines).is_some()
                || stage.instructions.iter().any(|instruction| node_at(&instruction.lines).is_some());
            if !needed {
                continue;
            }
            self.steps.push(Step {
                text: stage.source.clone(),
                // The steps of triggers stand on the same lines.
                node: node_at(&stage.lines)
                    .filter(|at| matches!(graph.nodes[*at].op, Op::Image(_) | Op::Scratch)),
                milestone: milestone(&stage.lines),
                ..Step::default()
            });
            for instruction in &stage.instructions {
                self.steps.push(Step {
                    text: instruction.source.clone(),
                    kind: what(instruction),
                    node: node_at(&instruction.lines),
                    milestone: milestone(&instruction.lines),
                    place: ids::new_id()[..SHOWN].to_owned(),
                    ..Step::default()
                });
            }
        }
        if !labels.is_empty() {
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.steps.push(Step {
                text: format!("LABEL {}", labels.join(" ")),
                kind: What::Run,
                // Done when all is.
                node: Some(usize::MAX),
                place: ids::new_id()[..SHOWN].to_owned(),
                ..Step::default()
            });
        }
        self.advance();
    }

    /// Tells what is left when everything is done; the result is this image.
    pub(super) fn finish(&mut self, image: Option<&Digest>) {
        for step in &mut self.steps {
            step.done = true;
        }
        let labelled = self.steps.last().is_some_and(|step| step.node == Some(usize::MAX));
        self.advance();
        if let (true, Some(image)) = (labelled, image) {
            (self.report)(Progress::stream(format!(" ---> {}\n", image.short())));
        }
    }

    /// Tells what is left when a step failed; returns the keyword of the instruction at the front.
    pub(super) fn fail(&mut self) -> String {
        self.advance();
        let Some(step) = self.steps.get(self.front) else { return String::new() };
        if self.remove.1 && step.running {
            (self.report)(Progress::stream(format!(" ---> Removed intermediate container {}\n", step.place)));
        }
        step.text.split_whitespace().next().unwrap_or_default().to_uppercase()
    }

    pub(super) fn made(&mut self, step: NodeId, layers: &Arc<Layers>) {
        self.layers.insert(step, layers.clone());
        self.advance();
    }

    pub(super) fn hear(&mut self, report: Report<'_>) {
        let number = match &report {
            Report::Started { step, .. }
            | Report::Cached { step }
            | Report::Done { step }
            | Report::Failed { step, .. }
            | Report::Status { step, .. }
            | Report::Output { step, .. } => *step,
        };
        // A node may stand for the same instruction of several stages.
        for step in self.steps.iter_mut().filter(|step| step.node == Some(number)) {
            match &report {
                Report::Output { text, .. } => step.output.extend_from_slice(text),
                Report::Cached { .. } => (step.done, step.cached) = (true, true),
                Report::Done { .. } => step.done = true,
                Report::Started { .. } | Report::Failed { .. } | Report::Status { .. } => {}
            }
        }
        self.advance();
    }

    /// Tells whatever can be told: the instruction at the front as far as it is, and those behind it that are done.
    pub(super) fn advance(&mut self) {
        let total = self.steps.len();
        while self.front < total {
            let (text, done) = self.tell(total);
            if !text.is_empty() {
                (self.report)(Progress::stream(text));
            }
            if !done {
                return;
            }
            self.front += 1;
        }
    }

    /// What is new of the instruction at the front, and whether there is nothing more to come.
    fn tell(&mut self, total: usize) -> (String, bool) {
        let front = self.front;
        let step = &mut self.steps[front];
        let mut text = String::new();
        if !std::mem::replace(&mut step.told, true) {
            text = format!("Step {}/{total} : {}\n", front + 1, step.text);
        }
        let output = String::from_utf8_lossy(&std::mem::take(&mut step.output)).into_owned();
        let root = step.milestone.as_ref().map(|milestone| milestone.output.root);
        let done =
            (step.done || step.node.is_none()) && root.is_none_or(|root| self.layers.contains_key(&root));
        if !done {
            text.push_str(&self.begun(&output));
            return (text, false);
        }
        let image = match self.image() {
            Ok(image) => image,
            Err(error) => {
                tracing::warn!(%error, "the image of a build's step is not kept");
                None
            }
        };
        let step = &self.steps[front];
        let known = image.as_ref().is_some_and(|(_, known)| *known);
        match step.kind {
            What::Begin => {}
            _ if step.cached || step.node.is_none() && known => text.push_str(" ---> Using cache\n"),
            What::Copy => text.push_str(&output),
            What::Run => {
                text.push_str(&self.begun(&output));
                if self.remove.0 {
                    let place = &self.steps[front].place;
                    text.push_str(&format!(" ---> Removed intermediate container {place}\n"));
                }
            }
        }
        match image {
            Some((id, _)) => {
                text.push_str(&format!(" ---> {}\n", id.short()));
                self.last = Some(id);
            }
            // Nothing is an image too, without an id.
            None if self.steps[front].kind == What::Begin => {
                text.push_str(" ---> \n");
                self.last = None;
            }
            None => {}
        }
        (text, true)
    }

    /// What a process wrote, after the line that says where it runs. Whether it runs at all shows only then.
    fn begun(&mut self, output: &str) -> String {
        let step = &mut self.steps[self.front];
        let runs = step.kind == What::Run && (step.done || step.node.is_none() || !output.is_empty());
        if runs && !std::mem::replace(&mut step.running, true) {
            return format!(" ---> Running in {}\n{output}", step.place);
        }
        output.to_owned()
    }

    /// The image that the instruction at the front came to, and whether it was there before.
    fn image(&self) -> Result<Option<(Digest, bool)>> {
        let step = &self.steps[self.front];
        let Some(Milestone { output, .. }) = &step.milestone else { return Ok(None) };
        if step.kind == What::Begin && output.history.is_empty() {
            return Ok(output.base.as_ref().map(|base| (base.id.clone(), true)));
        }
        let Some(root) = self.layers.get(&output.root) else { return Ok(None) };
        let made = |node: NodeId| self.layers.get(&node).and_then(|layers| layers.created);
        let (_, config) = self.engine.built_image(output, root, &made, None, None)?;
        let parent = self.last.as_ref().filter(|_| step.kind != What::Begin);
        self.engine.put_step(config.as_bytes(), parent).map(Some)
    }
}

fn what(instruction: &Instruction) -> What {
    match instruction.kind {
        Kind::Copy(..) | Kind::Add(..) => What::Copy,
        _ => What::Run,
    }
}

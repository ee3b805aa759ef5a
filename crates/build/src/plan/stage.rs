//! Stages of a build: which there are, what each depends on, and how far each has come.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use wharf_oci::Platform;
use wharf_oci::image::{History, RunConfig};

use super::NamedContext;
use super::env::Env;
use crate::dockerfile::Instruction;
use crate::graph::{ImageSource, NodeId};

/// A stage, or an image that is only copied from.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    /// Name after `AS`, in lower case; empty if there is none.
    pub(super) name: String,
    /// Name as progress shows it; empty if there is only one stage.
    pub(super) shown: String,
    /// What it starts from, expanded.
    pub(super) base_name: String,
    /// The stage it starts from.
    pub(super) base: Option<usize>,
    /// What `--build-context` says in place of it.
    pub(super) context: Option<(String, NamedContext)>,
    /// `--platform`.
    pub(super) platform: Option<Platform>,
    /// What is done in it, triggers first.
    pub(super) steps: Vec<Step<'a>>,
    /// Lines of what brought it about.
    pub(super) lines: RangeInclusive<usize>,
    /// Whether no instruction `FROM` made it.
    pub(super) image_only: bool,
    /// Whether its steps must be done again.
    pub(super) no_cache: bool,
    /// Steps that progress counts.
    pub(super) total: usize,
    /// Those already named.
    pub(super) count: usize,
    /// Whether triggers of its base were taken over.
    pub(super) triggers_done: bool,
    /// What it starts with, when that is known.
    pub(super) start: Option<State>,
    /// What it ends with, when it was planned.
    pub(super) end: Option<State>,
}

/// An instruction in a stage.
#[derive(Debug, Clone)]
pub(super) struct Step<'a> {
    pub(super) instruction: Cow<'a, Instruction>,
    /// For `COPY --from` one, for `RUN` one for each mount: the stage it needs.
    pub(super) sources: Vec<Option<usize>>,
    /// Whether it is a trigger of the base.
    pub(super) trigger: bool,
}

/// What a stage has come to.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) root: NodeId,
    pub(super) platform: Platform,
    pub(super) config: RunConfig,
    pub(super) author: String,
    /// Variables of the image and build arguments in scope.
    pub(super) env: Env,
    /// Build arguments declared, with the value known at that point.
    pub(super) args: Vec<(String, Option<String>)>,
    /// What this stage adds to that of its base.
    pub(super) history: Vec<(History, Option<NodeId>)>,
    pub(super) base: Option<ImageSource>,
    /// Whether a `WORKDIR` of this file came before.
    pub(super) workdir_set: bool,
}

impl Stage<'_> {
    /// Stages it needs before it can begin or go on.
    pub(super) fn needs(&self) -> impl Iterator<Item = usize> + '_ {
        self.base.into_iter().chain(self.sources().map(|(stage, _)| stage))
    }

    /// Stages that its instructions name, with their lines.
    pub(super) fn sources(&self) -> impl Iterator<Item = (usize, &RangeInclusive<usize>)> + '_ {
        self.steps
            .iter()
            .flat_map(|step| step.sources.iter().flatten().map(|source| (*source, &step.instruction.lines)))
    }
}

//! From stages to nodes, for one platform: the order of things is in [`Planner::run`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use wharf_oci::Platform;
use wharf_oci::image::History;

use super::env::Env;
use super::nodes::Nodes;
use super::stage::{Stage, State, Step};
use super::{Images, NamedContext, PlanError, PlanOptions, globals};
use crate::check::Checks;
use crate::dockerfile::{self, Dockerfile, Kind};
use crate::expand::{Lexer, Variables};
use crate::graph::{Milestone, Node, NodeId, Op, Output};

/// How often triggers may bring in stages that have triggers.
const MOST_ROUNDS: usize = 64;

pub(super) struct Planner<'a> {
    pub(super) file: &'a Dockerfile,
    pub(super) options: &'a PlanOptions,
    pub(super) images: &'a dyn Images,
    /// Platform that is built for.
    pub(super) platform: Platform,
    /// Whether names of nodes say the platform.
    pub(super) many: bool,
    /// Whether stages that the target does not need are looked at too.
    pub(super) all_stages: bool,
    pub(super) lexer: Lexer,
    pub(super) globals: Env,
    pub(super) stages: Vec<Stage<'a>>,
    pub(super) by_name: HashMap<String, usize>,
    /// Whether a single stage is named as if there were others.
    pub(super) more_than_one: bool,
    pub(super) nodes: &'a mut Nodes,
    pub(super) checks: &'a mut Checks,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        file: &'a Dockerfile,
        options: &'a PlanOptions,
        images: &'a dyn Images,
        platform: Platform,
        nodes: &'a mut Nodes,
        checks: &'a mut Checks,
    ) -> Self {
        Self {
            file,
            options,
            images,
            platform,
            many: options.platforms.len() > 1,
            all_stages: false,
            lexer: Lexer::new(file.directives.escape),
            globals: Env::default(),
            stages: Vec::new(),
            by_name: HashMap::new(),
            more_than_one: false,
            nodes,
            checks,
        }
    }

    /// Plans the target and all it needs.
    pub(super) fn run(mut self) -> Result<Output, PlanError> {
        self.checks.of_names_and_case(self.file);
        self.globals = globals::of(self.file, self.options, &self.platform, &self.lexer)?;
        let defaults = globals::without_arguments(self.file, self.options, &self.platform, &self.lexer);
        self.checks.of_default_bases(self.file, &self.lexer, &defaults);
        self.declare_stages()?;
        let target = self.target()?;
        self.connect()?;
        self.refuse_cycles()?;
        if self.stages.len() == 1 && !self.more_than_one {
            self.stages[0].shown.clear();
        }
        let needed = self.resolve(target)?;
        for (at, needed) in needed.into_iter().enumerate() {
            if (self.all_stages || needed) && self.stages[at].end.is_none() {
                self.plan_stage(at)?;
            }
        }
        let state = self.stages[target].end.take().or_else(|| self.stages[target].start.take());
        let state = state.ok_or_else(|| PlanError::new("the target stage was not planned"))?;
        self.need_all_of(state.root);
        let history = self.whole_history(target, &state);
        Ok(self.output(State { history, ..state }))
    }

    /// The history of a stage with that of the stages it is based on.
    fn whole_history(&self, at: usize, state: &State) -> Vec<(History, Option<NodeId>)> {
        let mut stages = vec![state.history.clone()];
        let mut base = self.stages[at].base;
        while let Some(at) = base {
            stages.push(self.stages[at].end.as_ref().map(|end| end.history.clone()).unwrap_or_default());
            base = self.stages[at].base;
        }
        stages.into_iter().rev().flatten().collect()
    }

    /// Notes what an instruction comes to, if somebody wants to know.
    fn milestone(&mut self, at: usize, lines: &RangeInclusive<usize>, state: &State) {
        if self.options.milestones {
            let history = self.whole_history(at, state);
            let bytes = state.env.bytes() + history.len() * size_of::<(History, Option<NodeId>)>();
            let output = Output {
                root: state.root,
                platform: state.platform.clone(),
                author: state.author.clone(),
                config: state.config.clone(),
                history,
                base: state.base.clone(),
            };
            self.nodes.milestone(Milestone { lines: lines.clone(), output }, bytes);
        }
    }

    fn output(&self, state: State) -> Output {
        let mut config = state.config;
        if !self.options.labels.is_empty() {
            config.labels.get_or_insert_default().extend(self.options.labels.clone());
        }
        let platform = if self.options.platforms.is_empty() { state.platform } else { self.platform.clone() };
        Output {
            root: state.root,
            platform,
            author: state.author,
            config,
            history: state.history,
            base: state.base,
        }
    }

    /// Lists the stages of the file with their bases expanded.
    pub(super) fn declare_stages(&mut self) -> Result<(), PlanError> {
        let file = self.file;
        for (i, stage) in file.stages.iter().enumerate() {
            let at = &stage.lines;
            let base = self.lexer.expand(&stage.base, &self.globals);
            let base = base.map_err(|e| PlanError::new(e.to_string()).at(at))?;
            self.checks.undefined_in_from(&base.unmatched, self.globals.names(), file, at);
            if base.text.is_empty() {
                let message = format!("base name ({}) should not be blank", stage.base);
                return Err(PlanError::new(message).at(at));
            }
            let platform = match &stage.platform {
                Some(text) => Some(self.stage_platform(text, stage)?),
                None => None,
            };
            let counted =
                stage.instructions.iter().filter(|instruction| is_counted(&instruction.kind)).count();
            let base_stage = self.by_name.get(&base.text).copied();
            let has_image = base.text != "scratch" && base_stage.is_none();
            let context = if stage.name.is_empty() { None } else { self.named_context(&stage.name) };
            self.stages.push(Stage {
                name: stage.name.clone(),
                shown: if stage.name.is_empty() { format!("stage-{i}") } else { stage.name.clone() },
                base_name: base.text,
                base: base_stage.filter(|_| context.is_none()),
                platform,
                steps: stage
                    .instructions
                    .iter()
                    .map(|instruction| Step {
                        instruction: Cow::Borrowed(instruction),
                        sources: Vec::new(),
                        trigger: false,
                    })
                    .collect(),
                lines: stage.lines.clone(),
                image_only: false,
                no_cache: self.is_without_cache(&stage.name, i),
                total: if context.is_some() { 0 } else { counted + usize::from(has_image) },
                count: 0,
                triggers_done: false,
                start: None,
                end: None,
                context,
            });
            if !stage.name.is_empty() {
                self.by_name.insert(stage.name.clone(), i);
            }
        }
        Ok(())
    }

    fn stage_platform(&mut self, text: &str, stage: &dockerfile::Stage) -> Result<Platform, PlanError> {
        let at = &stage.lines;
        let fail = |message: String| PlanError::new(message).at(at);
        let expanded = self
            .lexer
            .expand(text, &self.globals)
            .map_err(|e| fail(format!("failed to process arguments for platform : {e}")))?;
        self.checks.undefined_in_from(&expanded.unmatched, self.globals.names(), self.file, at);
        let target = self.globals.get("TARGETPLATFORM");
        self.checks.of_platform(text, &expanded, stage, target);
        if expanded.text.is_empty() {
            return Err(fail(format!("empty platform value from expression {text}")));
        }
        Platform::parse(&expanded.text).map_err(|e| fail(format!("failed to parse platform {text}: {e}")))
    }

    fn is_without_cache(&self, name: &str, number: usize) -> bool {
        self.options.no_cache
            || self.options.no_cache_filter.iter().any(|filter| {
                !name.is_empty() && filter.eq_ignore_ascii_case(name) || *filter == number.to_string()
            })
    }

    /// What `--build-context` gives for a name.
    pub(super) fn named_context(&self, name: &str) -> Option<(String, NamedContext)> {
        if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
            return None;
        }
        let wanted = super::images::familiar(name);
        let (key, context) =
            self.options.contexts.iter().find(|(key, _)| super::images::familiar(key) == wanted)?;
        Some((key.clone(), context.clone()))
    }

    pub(super) fn target(&self) -> Result<usize, PlanError> {
        let Some(target) = self.options.target.as_deref().filter(|target| !target.is_empty()) else {
            return Ok(self.file.stages.len() - 1);
        };
        if let Some(at) = self.by_name.get(&target.to_lowercase()) {
            return Ok(*at);
        }
        // compat: numbers name stages for the classic builder; Docker's newer one only knows names.
        if let Some(at) = target.parse().ok().filter(|at| *at < self.file.stages.len()) {
            return Ok(at);
        }
        let names = self.stages.iter().map(|stage| stage.shown.as_str());
        let hint = dockerfile::nearest(target, names).map(|hint| format!(" (did you mean {hint}?)"));
        let quoted = crate::quote::go(target);
        Err(PlanError::new(format!("target stage {quoted} could not be found{}", hint.unwrap_or_default())))
    }

    /// Finds the images of all needed stages, and the triggers that these bring. Triggers may need more stages.
    fn resolve(&mut self, target: usize) -> Result<Vec<bool>, PlanError> {
        for _ in 0..MOST_ROUNDS {
            let needed = self.needed(target);
            let mut more = false;
            for (at, needed) in needed.iter().enumerate() {
                let wanted = self.all_stages || *needed;
                if self.stages[at].base.is_some() {
                    continue;
                }
                if wanted && self.stages[at].start.is_none() {
                    let state = self.start(at).map_err(|e| e.at(&self.stages[at].lines))?;
                    let done = self.stages[at].image_only || self.stages[at].context.is_some();
                    self.stages[at].start = Some(state);
                    if done {
                        self.stages[at].end = self.stages[at].start.clone();
                    }
                } else if !wanted {
                    super::images::check_name(&self.stages[at])?;
                }
            }
            for (at, needed) in needed.into_iter().enumerate() {
                if (self.all_stages || needed) && !self.stages[at].triggers_done {
                    self.stages[at].triggers_done = true;
                    more |= self.add_triggers(at).map_err(|e| e.at(&self.stages[at].lines))?;
                }
            }
            if !more {
                self.refuse_cycles()?;
                return Ok(self.needed(target));
            }
        }
        Err(PlanError::new("triggers of images need ever more images"))
    }

    /// Puts the triggers of its base in front of a stage; whether they need other stages.
    fn add_triggers(&mut self, at: usize) -> Result<bool, PlanError> {
        let stage = &mut self.stages[at];
        let mut triggers: Vec<String> = match &mut stage.start {
            Some(start) if stage.base.is_none() && stage.context.is_none() => {
                start.config.on_build.take().unwrap_or_default()
            }
            _ => Vec::new(),
        };
        if let Some(base) = self.stages[at].base {
            for step in &self.stages[base].steps {
                if let Kind::Onbuild(text) = &step.instruction.kind {
                    triggers.push(text.clone());
                }
            }
        }
        let mut steps = Vec::with_capacity(triggers.len());
        for text in &triggers {
            let instruction = dockerfile::trigger(text, self.stages[at].lines.clone())?;
            let sources = self.sources(&instruction)?;
            steps.push(Step { instruction: Cow::Owned(instruction), sources, trigger: true });
        }
        let more = steps.iter().any(|step| !step.sources.is_empty());
        self.stages[at].total += steps.len();
        self.stages[at].steps.splice(0..0, steps);
        Ok(more)
    }

    /// Files of the client that become a file system are all needed.
    fn need_all_of(&mut self, root: NodeId) {
        if let Some(Op::Context(context)) = self.nodes.op(root) {
            let name = context.name.clone();
            self.nodes.context(&name, "/", &self.platform);
        }
    }

    pub(super) fn push(
        &mut self,
        at: usize,
        op: Op,
        name: String,
        lines: Option<RangeInclusive<usize>>,
        platform: &Platform,
    ) -> Result<NodeId, PlanError> {
        let stage = &self.stages[at];
        let no_cache = stage.no_cache && matches!(op, Op::Run(_) | Op::Copy(_) | Op::Mkdir(_));
        let name_or_number = if stage.name.is_empty() { at.to_string() } else { stage.name.clone() };
        self.nodes.push(Node {
            op,
            name,
            lines,
            stage: name_or_number,
            no_cache,
            platform: platform.clone(),
            newest: self.options.newest,
        })
    }

    fn plan_stage(&mut self, at: usize) -> Result<(), PlanError> {
        let mut state = match self.stages[at].base {
            Some(base) => {
                let mut state = self.stages[base].end.clone().ok_or_else(|| {
                    PlanError::new(format!("stage {} was not planned", self.stages[base].shown))
                })?;
                // Triggers are not inherited within a file; they became steps of this stage.
                state.config.on_build = None;
                state.history.clear();
                state
            }
            None => self.stages[at].start.clone().ok_or_else(|| PlanError::new("a stage has no base"))?,
        };
        state.begin();
        let lines = self.stages[at].lines.clone();
        self.checks.begin_stage();
        self.need_all_of(state.root);
        let steps = std::mem::take(&mut self.stages[at].steps);
        let mut had_cmd = false;
        self.milestone(at, &lines, &state);
        let result: Result<(), PlanError> = steps.iter().try_for_each(|step| {
            let lines = &step.instruction.lines;
            self.instruction(at, step, &mut state, &mut had_cmd).map_err(|e| e.at(lines))?;
            if !step.trigger {
                self.milestone(at, lines, &state);
            }
            Ok(())
        });
        self.stages[at].steps = steps;
        result.map_err(|e| e.at(&lines))?;
        self.stages[at].end = Some(state);
        Ok(())
    }

    /// `[build 2/3] RUN make`.
    pub(super) fn step_name(&mut self, at: usize, text: &str, trigger: bool, platform: &Platform) -> String {
        let many = self.many;
        let stage = &mut self.stages[at];
        if stage.total == 0 {
            return text.to_owned();
        }
        stage.count += 1;
        let width = stage.total.to_string().len();
        let platform = if many { format!("{platform} ") } else { String::new() };
        let shown = if stage.shown.is_empty() { String::new() } else { format!("{} ", stage.shown) };
        let trigger = if trigger { "ONBUILD " } else { "" };
        format!("[{platform}{shown}{:>width$}/{}] {trigger}{text}", stage.count, stage.total)
    }
}

/// Instructions that make a node.
fn is_counted(kind: &Kind) -> bool {
    matches!(kind, Kind::Add(..) | Kind::Copy(..) | Kind::Run(_) | Kind::Workdir(_))
}

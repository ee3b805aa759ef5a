//! What a stage starts with: nothing, an image, files of the client.

use wharf_oci::Platform;
use wharf_oci::image::RunConfig;

use super::copy::SCRATCH;
use super::env::Env;
use super::planner::Planner;
use super::stage::State;
use super::{NamedContext, PlanError};
use crate::dockerfile;
use crate::graph::{ImageSource, NodeId, Op};

/// `PATH` of what has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Planner<'_> {
    /// What a stage without a base stage starts with.
    pub(super) fn start(&mut self, at: usize) -> Result<State, PlanError> {
        let stage = &self.stages[at];
        let platform = stage.platform.clone().unwrap_or_else(|| self.platform.clone());
        if let Some((name, context)) = stage.context.clone() {
            return self.start_from_context(at, &name, &context, &platform);
        }
        if stage.base_name == "scratch" {
            // compat: an empty stage is for the target's platform whatever `--platform` says.
            let platform = self.platform.clone();
            let root = self.push(at, Op::Scratch, SCRATCH.to_owned(), None, &platform)?;
            return Ok(State::empty(root, platform));
        }
        let name = super::images::canonical(&stage.base_name)?;
        if let Some((key, context)) = self.named_context(&name) {
            return self.start_from_context(at, &key, &context, &platform);
        }
        self.start_from_image(at, &name, &platform)
    }

    fn start_from_image(&mut self, at: usize, name: &str, platform: &Platform) -> Result<State, PlanError> {
        let written = self.stages[at].base_name.clone();
        let found = self.images.resolve(name, platform).map_err(|e| {
            let names = self.stages.iter().map(|stage| stage.shown.as_str()).filter(|name| !name.is_empty());
            let hint = dockerfile::nearest(&written, names.chain(super::images::COMMON));
            let hint = hint.map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
            PlanError::new(format!("{written}: {e}{hint}"))
        })?;
        let image = found.config.platform();
        self.checks.of_image_platform(&written, platform, &image, &self.stages[at].lines);
        let implicit = self.options.platforms.is_empty() && self.stages[at].platform.is_none();
        let platform = if implicit && !image.architecture.is_empty() && image.os == platform.os {
            Platform { architecture: image.architecture, variant: image.variant, ..platform.clone() }
        } else {
            platform.clone()
        };
        let source = ImageSource { reference: found.reference.clone(), id: found.id };
        let shown = self.step_name(at, &format!("FROM {}", found.reference), false, &platform);
        let lines = Some(self.stages[at].lines.clone());
        let root = self.push(at, Op::Image(source.clone()), shown, lines, &platform)?;
        let mut state = State::empty(root, platform);
        state.config = found.config.config;
        state.author = found.config.author;
        state.base = Some(source);
        Ok(state)
    }

    fn start_from_context(
        &mut self,
        at: usize,
        name: &str,
        context: &NamedContext,
        platform: &Platform,
    ) -> Result<State, PlanError> {
        let root = match context {
            NamedContext::Image(image) => {
                let image = super::images::canonical(image)?;
                return self.start_from_image(at, &image, platform);
            }
            // Which files are needed is added as instructions ask for them.
            NamedContext::Files => self.nodes.context(name, "", platform),
            NamedContext::Remote(address) => {
                let op = super::remote::parse(address).map_err(PlanError::new)?.ok_or_else(|| {
                    PlanError::new(format!("unknown protocol for context {name}: {address}"))
                })?;
                self.push(at, op, format!("[context {name}] {address}"), None, platform)?
            }
        };
        Ok(State::empty(root, platform.clone()))
    }
}

impl State {
    /// That of an image with nothing in it.
    fn empty(root: NodeId, platform: Platform) -> Self {
        let config = RunConfig {
            env: Some(vec![format!("PATH={PATH}")]),
            working_dir: "/".to_owned(),
            ..RunConfig::default()
        };
        Self {
            root,
            platform,
            config,
            author: String::new(),
            env: Env::default(),
            args: Vec::new(),
            history: Vec::new(),
            base: None,
            workdir_set: false,
        }
    }

    /// Makes the variables of the image known.
    pub(super) fn begin(&mut self) {
        let env = self.config.env.get_or_insert_default();
        if !env.iter().any(|entry| entry.starts_with("PATH=")) && self.platform.os != "windows" {
            env.push(format!("PATH={PATH}"));
        }
        for entry in env {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            self.env.set(name, value);
        }
    }
}

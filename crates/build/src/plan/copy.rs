//! `COPY` and `ADD`.

use wharf_oci::{Digest, Platform};

use super::planner::Planner;
use super::stage::{State, Step};
use super::{PlanError, path, remote, text};
use crate::dockerfile::{AddFlags, CopyFlags, Files, Instruction};
use crate::expand::Lexer;
use crate::graph::{CopySource, CopyStep, MergeStep, NodeId, Op};
use crate::mode::Mode;

/// Name of the node that is nothing.
pub(super) const SCRATCH: &str = "scratch";

/// What the words of `COPY` or `ADD` are, expanded.
struct Words {
    sources: Vec<String>,
    inline: Vec<CopySource>,
    destination: String,
    chown: Option<String>,
    chmod: Option<String>,
    exclude: Vec<String>,
    parents: bool,
    link: bool,
}

impl<'a> Planner<'a> {
    pub(super) fn copy_step(
        &mut self,
        at: usize,
        step: &Step<'a>,
        files: &Files,
        flags: &CopyFlags,
        state: &mut State,
    ) -> Result<(), PlanError> {
        let mut words = self.words(files, state, &step.instruction)?;
        words.parents = flags.parents;
        let from = match step.sources.first().copied().flatten() {
            Some(stage) => Some(self.root_of(stage, flags.from.as_deref().unwrap_or_default())?),
            None => None,
        };
        let mut sources = Vec::with_capacity(words.sources.len());
        for source in &words.sources {
            let path = path::source(source, flags.parents);
            let from = self.files(from, &path, state);
            if step.sources.is_empty() {
                self.checks.of_ignored("COPY", source, &step.instruction.lines);
            }
            sources.push(CopySource::Node { from, path, unpack: false });
        }
        self.copy(at, step, words, sources, state)
    }

    pub(super) fn add_step(
        &mut self,
        at: usize,
        step: &Step<'a>,
        files: &Files,
        flags: &AddFlags,
        state: &mut State,
    ) -> Result<(), PlanError> {
        let words = self.words(files, state, &step.instruction)?;
        let checksum = match &flags.checksum {
            Some(text) => Some(self.expand(text, state, &step.instruction)?),
            None => None,
        };
        if checksum.is_some() && words.sources.len() + words.inline.len() > 1 {
            return Err(PlanError::new("checksum can't be specified for multiple sources"));
        }
        let mut sources = Vec::with_capacity(words.sources.len());
        for source in &words.sources {
            let Some(op) = remote::parse(source).map_err(PlanError::new)? else {
                if checksum.is_some() {
                    return Err(PlanError::new("checksum requires HTTP(S) or Git sources"));
                }
                let path = path::source(source, false);
                let from = self.files(None, &path, state);
                self.checks.of_ignored("ADD", source, &step.instruction.lines);
                sources.push(CopySource::Node { from, path, unpack: flags.unpack.unwrap_or(true) });
                continue;
            };
            let (op, path) = with_flags(op, flags, checksum.as_deref())?;
            // compat: progress shows the fetch and the copy under the same name.
            let name = self.next_name(at, step, state);
            let platform = state.platform.clone();
            let from = self.push(at, op, name, Some(step.instruction.lines.clone()), &platform)?;
            sources.push(CopySource::Node { from, path, unpack: flags.unpack.unwrap_or(false) });
        }
        self.copy(at, step, words, sources, state)
    }

    fn words(&mut self, files: &Files, state: &State, instruction: &Instruction) -> Result<Words, PlanError> {
        let mut sources = Vec::with_capacity(files.sources.len());
        for source in &files.sources {
            sources.push(self.expand(source, state, instruction)?);
        }
        let mut inline = Vec::with_capacity(files.heredocs.len());
        let raw = Lexer { skip_quotes: true, ..Lexer::new('\\') };
        for heredoc in &files.heredocs {
            let mut content = heredoc.text();
            if heredoc.expand {
                content = self.expand_with(&raw, &content, state, instruction)?.text;
            }
            inline.push(CopySource::Inline { name: heredoc.name.clone(), content });
        }
        let chown = files.chown.as_ref().map(|text| self.expand(text, state, instruction)).transpose()?;
        let chmod = files.chmod.as_ref().map(|text| self.expand(text, state, instruction)).transpose()?;
        if let Some(mode) = chmod.as_deref().filter(|mode| !mode.is_empty()) {
            Mode::parse(mode).map_err(|e| PlanError::new(e.to_string()))?;
        }
        let exclude: Result<Vec<String>, PlanError> =
            files.exclude.iter().map(|text| self.expand(text, state, instruction)).collect();
        Ok(Words {
            sources,
            inline,
            destination: self.expand(&files.destination, state, instruction)?,
            chown: chown.filter(|text| !text.is_empty()),
            chmod: chmod.filter(|text| !text.is_empty()),
            exclude: exclude?,
            parents: false,
            link: files.link,
        })
    }

    fn copy(
        &mut self,
        at: usize,
        step: &Step<'a>,
        words: Words,
        mut sources: Vec<CopySource>,
        state: &mut State,
    ) -> Result<(), PlanError> {
        let instruction = step.instruction.as_ref();
        let history = history(instruction, &words);
        let mut destination = path::destination(&state.config.working_dir, &words.destination);
        sources.extend(words.inline);
        if sources.len() > 1 && !destination.ends_with('/') {
            destination.push('/');
        }
        let name = self.next_name(at, step, state);
        self.stages[at].count += 1;
        let platform = state.platform.clone();
        let lines = Some(instruction.lines.clone());
        let linked = words.link && words.chown.as_deref().is_none_or(is_numeric);
        let step = CopyStep {
            root: state.root,
            sources,
            destination,
            chown: words.chown,
            chmod: words.chmod,
            parents: words.parents,
            exclude: words.exclude,
        };
        if !linked {
            state.root = self.push(at, Op::Copy(Box::new(step)), name, lines, &platform)?;
            state.layer(history, state.root);
            return Ok(());
        }
        let root = self.push(at, Op::Scratch, SCRATCH.to_owned(), None, &platform)?;
        let alone = Op::Copy(Box::new(CopyStep { root, ..step.clone() }));
        let upper = self.push(at, alone, name, lines.clone(), &platform)?;
        let merge = Op::Merge(MergeStep { lower: state.root, upper, copy: Box::new(step) });
        state.root = self.push(at, merge, String::new(), lines, &platform)?;
        state.layer(history, upper);
        Ok(())
    }

    /// The name of the stage's next step, which does not count yet.
    fn next_name(&mut self, at: usize, step: &Step<'a>, state: &State) -> String {
        let shown = text::command(&self.lexer, &step.instruction.source, &state.env);
        let count = self.stages[at].count;
        let name = self.step_name(at, &shown, step.trigger, &state.platform);
        self.stages[at].count = count;
        name
    }

    /// The node that a path is copied from: of another stage, or the build context.
    fn files(&mut self, from: Option<NodeId>, path: &str, state: &State) -> NodeId {
        match from {
            Some(from) => {
                self.need(from, path, &state.platform);
                from
            }
            None => self.nodes.context("", &without_pivot(path), &state.platform),
        }
    }

    /// Notes that a path of a node is needed, which matters for files of the client.
    pub(super) fn need(&mut self, from: NodeId, path: &str, platform: &Platform) {
        if let Some(Op::Context(context)) = self.nodes.op(from) {
            let name = context.name.clone();
            self.nodes.context(&name, &without_pivot(path), platform);
        }
    }

    /// What a stage that is copied from ends with.
    pub(super) fn root_of(&self, stage: usize, name: &str) -> Result<NodeId, PlanError> {
        let state = self.stages[stage].end.as_ref();
        state.map(|state| state.root).ok_or_else(|| {
            let name = crate::quote::go(name);
            PlanError::new(format!(
                "cannot copy from stage {name}, it needs to be defined before current stage"
            ))
        })
    }
}

/// Whether an owner is one without looking it up in a file system, which a linked copy does not have.
fn is_numeric(owner: &str) -> bool {
    owner.split(':').all(|part| part.parse::<u32>().is_ok())
}

fn without_pivot(path: &str) -> String {
    wharf_oci::path::clean(path)
}

fn with_flags(op: Op, flags: &AddFlags, checksum: Option<&str>) -> Result<(Op, String), PlanError> {
    match op {
        Op::Http(mut http) => {
            let digest = checksum.map(Digest::parse).transpose();
            http.checksum = digest.map_err(|e| PlanError::new(e.to_string()))?;
            let path = format!("/{}", http.file_name);
            Ok((Op::Http(http), path))
        }
        Op::Git(mut git) => {
            git.keep_git_dir = flags.keep_git_dir.unwrap_or(git.keep_git_dir);
            git.checksum = checksum.map(str::to_owned).or(git.checksum);
            Ok((Op::Git(git), "/".to_owned()))
        }
        op => Ok((op, "/".to_owned())),
    }
}

/// `COPY --chown=1 a b /c/ # buildkit`.
fn history(instruction: &Instruction, words: &Words) -> String {
    let mut out = instruction.keyword.to_uppercase();
    for (flag, value) in [("chown", &words.chown), ("chmod", &words.chmod)] {
        if let Some(value) = value {
            out.push_str(&format!(" --{flag}={value}"));
        }
    }
    for source in &words.sources {
        out.push_str(&format!(" {source}"));
    }
    for source in &words.inline {
        if let CopySource::Inline { name, .. } = source {
            out.push_str(&format!(" <<{name}"));
        }
    }
    format!("{out} {} # buildkit", words.destination)
}

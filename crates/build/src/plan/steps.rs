//! What each instruction does to a stage.

use wharf_oci::image::{Empty, Healthcheck, History};
use wharf_oci::path;

use super::env::{LONGEST_ENV, set_variable};
use super::planner::Planner;
use super::stage::{State, Step};
use super::{PlanError, expose, signal, text};
use crate::dockerfile::{Arg, Command, Instruction, Kind, Pair};
use crate::expand::{Lexer, Variables};
use crate::graph::{MkdirStep, NodeId, Op};

/// Comment of all history that a build makes.
const COMMENT: &str = "buildkit.dockerfile.v0";

impl<'a> Planner<'a> {
    /// Does one instruction. `had_cmd`: whether the stage had a `CMD` of its own before.
    pub(super) fn instruction(
        &mut self,
        at: usize,
        step: &Step<'a>,
        state: &mut State,
        had_cmd: &mut bool,
    ) -> Result<(), PlanError> {
        let instruction = step.instruction.as_ref();
        match &instruction.kind {
            Kind::Run(run) => self.run_step(at, step, run, state),
            Kind::Copy(files, flags) => self.copy_step(at, step, files, flags, state),
            Kind::Add(files, flags) => self.add_step(at, step, files, flags, state),
            Kind::Workdir(folder) => self.workdir(at, step, folder, state),
            Kind::Env(pairs) => self.env(instruction, pairs, state),
            Kind::Label(pairs) => self.label(instruction, pairs, state),
            Kind::Arg(args) => self.arg(instruction, args, state),
            Kind::Expose(ports) => self.expose(instruction, ports, state),
            Kind::Volume(paths) => self.volume(instruction, paths, state),
            Kind::User(user) => {
                let user = self.expand(user, state, instruction)?;
                state.config.user.clone_from(&user);
                state.note(format!("USER {user}"));
                Ok(())
            }
            Kind::Stopsignal(signal) => {
                let signal = self.expand(signal, state, instruction)?;
                if !signal::is_known(&signal) {
                    return Err(PlanError::new(format!("invalid signal: {signal}")));
                }
                state.config.stop_signal.clone_from(&signal);
                state.note(format!("STOPSIGNAL {signal}"));
                Ok(())
            }
            Kind::Cmd(command) => {
                *had_cmd = true;
                self.checks.of_last("CMD", &instruction.lines);
                let words = self.command(instruction, "CMD", command, state);
                state.config.extra.insert("ArgsEscaped".to_owned(), true.into());
                state.note(format!("CMD {}", crate::quote::go_list(&words)));
                state.config.cmd = Some(words).filter(|words| !words.is_empty());
                Ok(())
            }
            Kind::Entrypoint(command) => {
                self.checks.of_last("ENTRYPOINT", &instruction.lines);
                let words = self.command(instruction, "ENTRYPOINT", command, state);
                state.note(format!("ENTRYPOINT {}", crate::quote::go_list(&words)));
                state.config.entrypoint = Some(words).filter(|words| !words.is_empty());
                if !*had_cmd {
                    state.config.cmd = None;
                }
                Ok(())
            }
            Kind::Healthcheck(check) => {
                self.checks.of_last("HEALTHCHECK", &instruction.lines);
                state.note(format!("HEALTHCHECK {}", show_healthcheck(check)));
                state.config.healthcheck = Some(check.clone());
                Ok(())
            }
            Kind::Shell(words) => {
                state.note(format!("SHELL [{}]", words.join(" ")));
                state.config.shell = Some(words.clone());
                Ok(())
            }
            Kind::Maintainer(author) => {
                state.author.clone_from(author);
                state.note(format!("MAINTAINER {author}"));
                Ok(())
            }
            Kind::Onbuild(trigger) => {
                state.config.on_build.get_or_insert_default().push(trigger.clone());
                Ok(())
            }
        }
    }

    /// Expands a word of an instruction.
    pub(super) fn expand(
        &mut self,
        word: &str,
        state: &State,
        instruction: &Instruction,
    ) -> Result<String, PlanError> {
        let lexer = self.lexer;
        self.expand_with(&lexer, word, state, instruction).map(|expanded| expanded.text)
    }

    pub(super) fn expand_with(
        &mut self,
        lexer: &Lexer,
        word: &str,
        state: &State,
        instruction: &Instruction,
    ) -> Result<crate::expand::Expanded, PlanError> {
        let expanded = lexer.expand(word, &state.env).map_err(|e| PlanError::new(e.to_string()))?;
        self.checks.undefined(&expanded.unmatched, &state.args, state.env.names(), &instruction.lines);
        Ok(expanded)
    }

    fn env(&mut self, instruction: &Instruction, pairs: &[Pair], state: &mut State) -> Result<(), PlanError> {
        let pairs = self.pairs(instruction, "ENV", pairs, state)?;
        let mut text = "ENV".to_owned();
        for (key, value) in &pairs {
            self.checks.of_secret("ENV", key, &instruction.lines);
            text.push_str(&format!(" {key}={value}"));
            state.env.set(key, value);
            set_variable(state.config.env.get_or_insert_default(), key, value);
        }
        state.note(text);
        check_env(state)
    }

    fn label(
        &mut self,
        instruction: &Instruction,
        pairs: &[Pair],
        state: &mut State,
    ) -> Result<(), PlanError> {
        let pairs = self.pairs(instruction, "LABEL", pairs, state)?;
        let mut text = "LABEL".to_owned();
        let labels = state.config.labels.get_or_insert_default();
        for (key, value) in pairs {
            text.push_str(&format!(" {key}={value}"));
            labels.insert(key, value);
        }
        state.note(text);
        Ok(())
    }

    /// Pairs with keys and values expanded, all with the variables from before the instruction.
    fn pairs(
        &mut self,
        instruction: &Instruction,
        name: &str,
        pairs: &[Pair],
        state: &State,
    ) -> Result<Vec<(String, String)>, PlanError> {
        let mut out = Vec::with_capacity(pairs.len());
        for pair in pairs {
            if pair.legacy {
                self.checks.of_legacy(name, &instruction.lines);
            }
            let key = self.expand(&pair.key, state, instruction)?;
            out.push((key, self.expand(&pair.value, state, instruction)?));
        }
        Ok(out)
    }

    fn arg(&mut self, instruction: &Instruction, args: &[Arg], state: &mut State) -> Result<(), PlanError> {
        self.checks.of_descriptions(instruction);
        let mut text = "ARG".to_owned();
        for Arg { name, default } in args {
            self.checks.of_secret("ARG", name, &instruction.lines);
            let value = match (self.options.build_args.get(name), default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.expand(default, state, instruction)?),
                (None, None) => match self.globals.get(name).map(str::to_owned) {
                    Some(value) => {
                        Some(self.expand(&quoted(&value, self.lexer.escape), state, instruction)?)
                    }
                    None => None,
                },
            };
            text.push_str(&format!(" {name}"));
            if let Some(value) = &value {
                text.push_str(&format!("={value}"));
                state.env.set(name, value);
            }
            state.args.push((name.clone(), value));
        }
        state.note(text);
        check_env(state)
    }

    fn expose(
        &mut self,
        instruction: &Instruction,
        ports: &[String],
        state: &mut State,
    ) -> Result<(), PlanError> {
        let lexer = self.lexer;
        let mut words = Vec::new();
        for port in ports {
            words.extend(self.expand_with(&lexer, port, state, instruction)?.words);
        }
        let mut shown = Vec::new();
        let exposed = state.config.exposed_ports.get_or_insert_default();
        for word in &words {
            let found = expose::parse(word).map_err(|error| PlanError::new(error.to_string()))?;
            self.checks.of_port(&found, &instruction.lines);
            for port in found.ports {
                exposed.insert(port.clone(), Empty {});
                shown.push(port);
            }
        }
        state.note(format!("EXPOSE [{}]", shown.join(" ")));
        Ok(())
    }

    fn volume(
        &mut self,
        instruction: &Instruction,
        paths: &[String],
        state: &mut State,
    ) -> Result<(), PlanError> {
        let mut expanded = Vec::new();
        for path in paths {
            let path = self.expand(path, state, instruction)?;
            if path.is_empty() {
                return Err(PlanError::new("VOLUME specified can not be an empty string"));
            }
            state.config.volumes.get_or_insert_default().insert(path.clone(), Empty {});
            expanded.push(path);
        }
        state.note(format!("VOLUME [{}]", expanded.join(" ")));
        Ok(())
    }

    fn workdir(
        &mut self,
        at: usize,
        step: &Step<'a>,
        folder: &str,
        state: &mut State,
    ) -> Result<(), PlanError> {
        let instruction = step.instruction.as_ref();
        let folder = self.expand(folder, state, instruction)?;
        if !state.workdir_set && !folder.starts_with('/') {
            self.checks.of_relative_workdir(&folder, &instruction.lines);
        }
        state.workdir_set = true;
        let folder = path::join(&state.config.working_dir, &folder);
        state.config.working_dir.clone_from(&folder);
        let text = format!("WORKDIR {folder}");
        if folder == "/" {
            state.note(text);
            return Ok(());
        }
        let shown = text::command(&self.lexer, &instruction.source, &state.env);
        let name = self.step_name(at, &shown, step.trigger, &state.platform.clone());
        let op = Op::Mkdir(MkdirStep { root: state.root, path: folder, user: state.config.user.clone() });
        let platform = state.platform.clone();
        state.root = self.push(at, op, name, Some(instruction.lines.clone()), &platform)?;
        state.layer(text, state.root);
        Ok(())
    }

    /// Words of `CMD` and `ENTRYPOINT`.
    fn command(
        &mut self,
        instruction: &Instruction,
        name: &str,
        command: &Command,
        state: &State,
    ) -> Vec<String> {
        if !command.shell {
            return command.words.clone();
        }
        if state.config.shell.as_ref().is_none_or(Vec::is_empty) {
            self.checks.of_shell_form(name, &instruction.lines);
        }
        state.in_shell(&command.words.join(" "))
    }
}

impl State {
    /// A history entry without a layer.
    pub(super) fn note(&mut self, text: String) {
        self.history.push((history(text, true), None));
    }

    /// A history entry for what a node adds.
    pub(super) fn layer(&mut self, text: String, node: NodeId) {
        self.history.push((history(text, false), Some(node)));
    }

    /// The words that run a line in the stage's shell.
    pub(super) fn in_shell(&self, line: &str) -> Vec<String> {
        let mut words = match &self.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        };
        words.push(line.to_owned());
        words
    }
}

fn history(created_by: String, empty_layer: bool) -> History {
    History { created_by, comment: COMMENT.to_owned(), empty_layer, ..History::default() }
}

fn check_env(state: &State) -> Result<(), PlanError> {
    if state.env.bytes() > LONGEST_ENV {
        return Err(PlanError::new(format!(
            "the variables of the stage are longer than {LONGEST_ENV} bytes"
        )));
    }
    Ok(())
}

/// compat: Docker expands the value of a global argument once more where a stage declares it; only what is not a
/// variable must survive that unchanged.
fn quoted(value: &str, escape: char) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '$' | '"' | '\'') || c == escape {
            out.push(escape);
        }
        out.push(c);
    }
    out
}

/// compat: Go's `%q` of the structure, numbers as characters.
fn show_healthcheck(check: &Healthcheck) -> String {
    let times = [check.interval, check.timeout, check.start_period, check.start_interval];
    let times: Vec<String> = times.iter().map(|t| format!("\"{}\"", text::duration(*t))).collect();
    format!(
        "&{{{} {} {}}}",
        crate::quote::go_list(&check.test),
        times.join(" "),
        crate::quote::go_char(check.retries)
    )
}

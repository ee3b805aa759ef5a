//! `RUN`.

use std::collections::BTreeMap;

use wharf_oci::path;

use super::planner::Planner;
use super::stage::{State, Step};
use super::{PlanError, text};
use crate::dockerfile::{Heredoc, MountOptions, MountType, NetworkMode, Run};
use crate::expand::{Lexer, Variables};
use crate::graph::{Mount, MountKind, NodeId, Op, RunNetwork, RunStep, Sharing};

/// Folder in which scripts are mounted.
const SCRIPTS: &str = "/dev/pipes";

/// Build arguments that every step gets, in both cases, and that are no part of its key.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

impl<'a> Planner<'a> {
    pub(super) fn run_step(
        &mut self,
        at: usize,
        step: &Step<'a>,
        run: &Run,
        state: &mut State,
    ) -> Result<(), PlanError> {
        let instruction = step.instruction.as_ref();
        let (args, scripts, summary) = command(run, state)?;
        let mounts = self.mounts(step, run, state)?;
        let raw = Lexer { raw_quotes: true, skip_unset: true, ..self.lexer };
        let shown = text::command(&raw, &format!("{}{summary}", instruction.source), &state.env);
        let platform = state.platform.clone();
        let name = self.step_name(at, &shown, step.trigger, &platform);
        let history = format!("RUN {} # buildkit", history(&args, state));
        let op = Op::Run(Box::new(RunStep {
            root: state.root,
            args,
            env: state.env.list(),
            hidden_env: self.proxies(),
            cwd: if state.config.working_dir.is_empty() { "/" } else { &state.config.working_dir }.to_owned(),
            user: state.config.user.clone(),
            mounts,
            scripts,
            network: self.network(run.network)?,
            insecure: run.insecure,
            devices: run.devices.iter().map(|device| device.name.clone()).collect(),
        }));
        state.root = self.push(at, op, name, Some(instruction.lines.clone()), &platform)?;
        state.layer(history, state.root);
        Ok(())
    }

    fn network(&self, said: NetworkMode) -> Result<RunNetwork, PlanError> {
        match said {
            NetworkMode::None => Ok(RunNetwork::None),
            NetworkMode::Host => Ok(RunNetwork::Host),
            NetworkMode::Default => match self.options.network.as_str() {
                "none" => Ok(RunNetwork::None),
                "host" => Ok(RunNetwork::Host),
                _ => Ok(RunNetwork::Default),
            },
        }
    }

    fn proxies(&self) -> Vec<String> {
        let mut out = Vec::new();
        for proxy in PROXIES {
            let given = self.options.build_args.iter().find(|(name, _)| name.eq_ignore_ascii_case(proxy));
            if let Some((_, value)) = given {
                out.push(format!("{proxy}={value}"));
                out.push(format!("{}={value}", proxy.to_lowercase()));
            }
        }
        out
    }

    fn mounts(&mut self, step: &Step<'a>, run: &Run, state: &State) -> Result<Vec<Mount>, PlanError> {
        let instruction = step.instruction.as_ref();
        let mut mounts = Vec::with_capacity(run.mounts.len());
        for (spec, source) in run.mounts.iter().zip(&step.sources) {
            let options = spec
                .options(|word| self.expand(word, state, instruction).map_err(|e| e.message))
                .map_err(PlanError::new)?;
            let from = match source {
                Some(stage) => Some(self.root_of(*stage, spec.from())?),
                None => None,
            };
            mounts.push(self.mount(options, from, state)?);
        }
        Ok(mounts)
    }

    fn mount(
        &mut self,
        options: MountOptions,
        from: Option<NodeId>,
        state: &State,
    ) -> Result<Mount, PlanError> {
        let kind = options.kind;
        if kind == MountType::Secret {
            return Ok(secret(options, state));
        }
        if kind == MountType::Ssh {
            return Ok(ssh(options, state));
        }
        let target = path::join(&state.config.working_dir, &options.target);
        if target == "/" || options.target.is_empty() {
            return Err(PlanError::new("invalid mount target \"/\""));
        }
        let source = path::clean(&options.source);
        let kind = match kind {
            MountType::Tmpfs => MountKind::Tmpfs { size: options.size },
            MountType::Cache => MountKind::Cache {
                id: if options.id.is_empty() { target.clone() } else { options.id },
                sharing: match options.sharing.as_str() {
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => Sharing::Shared,
                },
                from: from.filter(|_| !options.from.is_empty()).map(|from| (from, source)),
                read_only: options.read_only,
                mode: options.mode.unwrap_or(0o755),
                uid: options.uid.unwrap_or_default(),
                gid: options.gid.unwrap_or_default(),
            },
            _ => {
                let from = match from {
                    Some(from) => {
                        self.need(from, &source, &state.platform);
                        from
                    }
                    None => self.nodes.context("", &source, &state.platform),
                };
                MountKind::Bind { from, source, writable: !options.read_only }
            }
        };
        Ok(Mount { target, kind })
    }
}

fn secret(options: MountOptions, state: &State) -> Mount {
    let MountOptions { id, source, target, env, .. } = options;
    let base = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let id = [id, source, base(&target)].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let target = match (target.as_str(), &env) {
        ("", Some(_)) => String::new(),
        ("", None) => format!("/run/secrets/{}", base(&id)),
        (target, _) => path::join(&state.config.working_dir, target),
    };
    let kind = MountKind::Secret {
        id,
        required: options.required,
        env,
        mode: options.mode.unwrap_or(0o400),
        uid: options.uid.unwrap_or_default(),
        gid: options.gid.unwrap_or_default(),
    };
    Mount { target, kind }
}

fn ssh(options: MountOptions, state: &State) -> Mount {
    let target = match options.target.as_str() {
        "" => "/run/buildkit/ssh_agent.0".to_owned(),
        target => path::join(&state.config.working_dir, target),
    };
    let id = [options.id, options.source].into_iter().find(|id| !id.is_empty());
    let kind = MountKind::Ssh {
        id: id.unwrap_or_else(|| "default".to_owned()),
        required: options.required,
        mode: options.mode.unwrap_or(0o600),
        uid: options.uid.unwrap_or_default(),
        gid: options.gid.unwrap_or_default(),
    };
    Mount { target, kind }
}

/// Words to run, scripts to mount, and what progress shows of a here-document.
type Ready = (Vec<String>, BTreeMap<String, String>, String);

fn command(run: &Run, state: &State) -> Result<Ready, PlanError> {
    let words = &run.command.words;
    let none = BTreeMap::new();
    let Some(first) = run.heredocs.first() else {
        let line = words.join(" ");
        return Ok((
            if run.command.shell { state.in_shell(&line) } else { words.clone() },
            none,
            String::new(),
        ));
    };
    let [line] = &words[..] else {
        return Err(PlanError::new(format!(
            "parsing produced an invalid run command: [{}]",
            words.join(" ")
        )));
    };
    // `RUN <<EOF` alone: the document is the command. Otherwise the shell gets the documents as they are.
    if Heredoc::parse(line).is_none() {
        let documents = run.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name));
        return Ok((
            state.in_shell(&format!("{line}{}", documents.collect::<String>())),
            none,
            String::new(),
        ));
    }
    let summary = format!(" ({})", text::summary(&first.content));
    let document = first.text();
    if document.starts_with("#!") {
        let file = format!("{SCRIPTS}/{}", first.name);
        return Ok((state.in_shell(&file), BTreeMap::from([(file, document)]), summary));
    }
    Ok((state.in_shell(&document), none, summary))
}

/// `|2 A=1 B=2 /bin/sh -c …`: the build arguments in scope, each once, and the words.
fn history(args: &[String], state: &State) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for (name, value) in &state.args {
        if names.contains(&name.as_str()) {
            continue;
        }
        names.push(name);
        let value = state.env.get(name).or(value.as_deref()).unwrap_or_default();
        out.push(format!("{name}={value}"));
    }
    if !out.is_empty() {
        out.insert(0, format!("|{}", out.len()));
    }
    out.extend_from_slice(args);
    out.join(" ")
}

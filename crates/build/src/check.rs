//! Build checks: what is allowed in a Dockerfile and yet likely wrong.

mod config;
mod rule;

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use wharf_oci::{Platform, Reference};

pub use rule::Rule;

use crate::Warning;
use crate::dockerfile::{Dockerfile, Instruction, Kind, Stage, nearest};
use crate::expand::{Expanded, Lexer, Variables};
use crate::ignore::Matcher;
use crate::plan::Exposed;
use config::Config;

type Lines = RangeInclusive<usize>;

/// Where a check is explained, by its name.
pub fn address(check: &str) -> String {
    let letters: Vec<char> = check.chars().collect();
    let mut words = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_small = at > 0 && letters[at - 1].is_lowercase();
        let before_small = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    format!("https://docs.docker.com/go/dockerfile/rule/{words}/")
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    config: Config,
    ignore: Option<Matcher>,
    found: Vec<Warning>,
    /// Instructions of which the last of a stage counts.
    last: HashMap<&'static str, Lines>,
}

impl Checks {
    /// With the control that a Dockerfile's head, or a build argument in its place, gives.
    pub(crate) fn new(control: &str, ignore: Option<&str>) -> Result<Self, String> {
        let ignore = ignore.map(Matcher::parse).transpose()?;
        Ok(Self { config: Config::parse(control)?, ignore, ..Self::default() })
    }

    /// Findings in the order of lines, each once.
    pub(crate) fn finish(mut self) -> Vec<Warning> {
        self.found.sort_by_key(|warning| *warning.lines.start());
        let mut seen = BTreeSet::new();
        self.found.retain(|w| seen.insert((*w.lines.start(), w.check.clone(), w.message.clone())));
        self.found
    }

    /// The error that findings are, if they are to be one.
    pub(crate) fn error(&self) -> Option<String> {
        if !self.config.error || self.found.is_empty() {
            return None;
        }
        let mut rules: Vec<&str> = Vec::new();
        for warning in &self.found {
            if !rules.contains(&warning.check.as_str()) {
                rules.push(&warning.check);
            }
        }
        Some(format!("lint violation found for rules: {}", rules.join(", ")))
    }

    /// Adds a finding, unless its check is off.
    pub(crate) fn add(&mut self, rule: Rule, lines: &Lines, message: String) {
        if self.config.is_on(rule) {
            self.found.push(Warning {
                check: rule.name().to_owned(),
                message,
                description: rule.description().to_owned(),
                lines: lines.clone(),
            });
        }
    }

    pub(crate) fn begin_stage(&mut self) {
        self.last.clear();
    }

    /// Everything that needs no variables.
    pub(crate) fn of_names_and_case(&mut self, file: &Dockerfile) {
        for line in &file.empty_continuations {
            self.add(Rule::NoEmptyContinuation, &(*line..=*line), "Empty continuation line".to_owned());
        }
        let mut names = BTreeSet::new();
        for stage in &file.stages {
            self.of_stage(stage);
            if !stage.name.is_empty() && !names.insert(stage.name.as_str()) {
                let message = format!(
                    "Duplicate stage name {}, stage names should be unique",
                    crate::quote::go(&stage.name)
                );
                self.add(Rule::DuplicateStageName, &stage.lines, message);
            }
            for instruction in &stage.instructions {
                if matches!(instruction.kind, Kind::Maintainer(_)) {
                    let message = "Maintainer instruction is deprecated in favor of using label";
                    self.add(Rule::MaintainerDeprecated, &instruction.lines, message.to_owned());
                }
            }
        }
        for instruction in &file.global_args {
            self.of_descriptions(instruction);
        }
        self.of_case(file);
    }

    fn of_stage(&mut self, stage: &Stage) {
        let lines = &stage.lines;
        if stage.name_as_written != stage.name {
            let message = format!("Stage name '{}' should be lowercase", stage.name_as_written);
            self.add(Rule::StageNameCasing, lines, message);
        }
        let (from, as_word) = (&stage.keywords.0, &stage.keywords.1);
        let differ = if from.to_lowercase() == *from {
            as_word.to_lowercase() != *as_word
        } else {
            from.to_uppercase() == *from && as_word.to_uppercase() != *as_word
        };
        if differ {
            self.add(
                Rule::FromAsCasing,
                lines,
                format!("'{as_word}' and '{from}' keywords' casing do not match"),
            );
        }
        if matches!(stage.name.as_str(), "scratch" | "context") {
            let name = crate::quote::go(&stage.name);
            let message = format!("Stage name should not use the same name as reserved stage {name}");
            self.add(Rule::ReservedStageName, lines, message);
        }
        if !stage.name.is_empty() && described_otherwise(&stage.comments, [stage.name.as_str()]) {
            let message =
                format!("Comment for build stage should follow the format: `# {} <description>`", stage.name);
            self.add(Rule::InvalidDefinitionDescription, lines, message);
        }
    }

    fn of_case(&mut self, file: &Dockerfile) {
        let words: Vec<(&str, &Lines)> = file
            .stages
            .iter()
            .flat_map(|stage| {
                let own = (stage.keywords.0.as_str(), &stage.lines);
                std::iter::once(own).chain(stage.instructions.iter().map(|i| (i.keyword.as_str(), &i.lines)))
            })
            .collect();
        let lower = words.iter().filter(|(word, _)| word.to_lowercase() == *word).count();
        let upper = words.iter().filter(|(word, _)| word.to_uppercase() == *word).count();
        for (word, lines) in words {
            let (right, wanted) = if lower > upper {
                (word.to_lowercase(), "lowercase")
            } else {
                (word.to_uppercase(), "uppercase")
            };
            if right != word {
                let message =
                    format!("Command '{word}' should match the case of the command majority ({wanted})");
                self.add(Rule::ConsistentInstructionCasing, lines, message);
            }
        }
    }

    /// Bases that are no name of an image unless arguments are given.
    pub(crate) fn of_default_bases(&mut self, file: &Dockerfile, lexer: &Lexer, defaults: &dyn Variables) {
        for stage in &file.stages {
            let Ok(base) = lexer.expand(&stage.base, defaults) else { return };
            if Reference::parse(&base.text).is_err() {
                let message = format!(
                    "Default value for ARG {} results in empty or invalid base image name",
                    stage.base
                );
                self.add(Rule::InvalidDefaultArgInFrom, &stage.lines, message);
            }
        }
    }

    /// Variables in `FROM` that no `ARG` declares.
    pub(crate) fn undefined_in_from<'n>(
        &mut self,
        unmatched: &BTreeSet<String>,
        known: impl IntoIterator<Item = &'n str>,
        file: &'n Dockerfile,
        lines: &Lines,
    ) {
        if unmatched.is_empty() {
            return;
        }
        let declared = file.global_args.iter().flat_map(|instruction| match &instruction.kind {
            Kind::Arg(args) => args.iter().map(|arg| arg.name.as_str()).collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let known: BTreeSet<&str> = known.into_iter().chain(declared).collect();
        for name in unmatched.iter().filter(|name| !known.contains(name.as_str())) {
            let hint = nearest(name, known.iter().copied());
            let hint = hint.map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default();
            let message = format!("FROM argument '{name}' is not declared{hint}");
            self.add(Rule::UndefinedArgInFrom, lines, message);
        }
    }

    /// Variables in an instruction that are not set.
    pub(crate) fn undefined<'n>(
        &mut self,
        unmatched: &BTreeSet<String>,
        declared: &[(String, Option<String>)],
        known: impl IntoIterator<Item = &'n str>,
        lines: &Lines,
    ) {
        let missing: Vec<&String> =
            unmatched.iter().filter(|name| !declared.iter().any(|(arg, _)| arg == *name)).collect();
        if missing.is_empty() {
            return;
        }
        let known: BTreeSet<&str> = known.into_iter().collect();
        for name in missing {
            let hint = nearest(name, known.iter().copied());
            let hint = hint.map(|hint| format!(" (did you mean ${hint}?)")).unwrap_or_default();
            self.add(Rule::UndefinedVar, lines, format!("Usage of undefined variable '${name}'{hint}"));
        }
    }

    /// `FROM --platform`.
    pub(crate) fn of_platform(
        &mut self,
        text: &str,
        expanded: &Expanded,
        stage: &Stage,
        target: Option<&str>,
    ) {
        let Expanded { matched, unmatched, text: value, .. } = expanded;
        if matched.len() == 1
            && unmatched.is_empty()
            && matched.contains("TARGETPLATFORM")
            && target == Some(value.as_str())
        {
            let message = format!(
                "Setting platform to predefined {text} in FROM is redundant as this is the default behavior"
            );
            self.add(Rule::RedundantTargetPlatform, &stage.lines, message);
        }
        let Ok(platform) = Platform::parse(value) else { return };
        let in_name = stage.name.contains(&platform.os) || stage.name.contains(&platform.architecture);
        if matched.is_empty() && unmatched.is_empty() && !in_name {
            let message =
                format!("FROM --platform flag should not use constant value {}", crate::quote::go(value));
            self.add(Rule::FromPlatformFlagConstDisallowed, &stage.lines, message);
        }
    }

    /// What platform an image turned out to be for.
    pub(crate) fn of_image_platform(
        &mut self,
        name: &str,
        wanted: &Platform,
        found: &Platform,
        lines: &Lines,
    ) {
        let said = !found.os.is_empty() && !found.architecture.is_empty();
        if said && (found.os != wanted.os || found.architecture != wanted.architecture) {
            let (found, wanted) =
                (crate::quote::go(&found.to_string()), crate::quote::go(&wanted.to_string()));
            let message = format!(
                "Base image {name} was pulled with platform {found}, expected {wanted} for current build"
            );
            self.add(Rule::InvalidBaseImagePlatform, lines, message);
        }
    }

    /// `CMD`, `ENTRYPOINT` and `HEALTHCHECK` that a later one of the same stage replaces.
    pub(crate) fn of_last(&mut self, name: &'static str, lines: &Lines) {
        if let Some(before) = self.last.insert(name, lines.clone()) {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            );
            self.add(Rule::MultipleInstructionsDisallowed, &before, message);
        }
    }

    /// Shell form where signals matter.
    pub(crate) fn of_shell_form(&mut self, name: &str, lines: &Lines) {
        let message = format!(
            "JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
        );
        self.add(Rule::JsonArgsRecommended, lines, message);
    }

    /// Ports of `EXPOSE`.
    pub(crate) fn of_port(&mut self, port: &Exposed, lines: &Lines) {
        if port.mapped {
            let message = format!(
                "EXPOSE instruction should not define an IP address or host-port mapping, found '{}'",
                port.text
            );
            self.add(Rule::ExposeInvalidFormat, lines, message);
        }
        if port.capitals {
            let message =
                format!("Defined protocol '{}' in EXPOSE instruction should be lowercase", port.text);
            self.add(Rule::ExposeProtoCasing, lines, message);
        }
    }

    /// `WORKDIR` that depends on the base image's.
    pub(crate) fn of_relative_workdir(&mut self, folder: &str, lines: &Lines) {
        let folder = crate::quote::go(folder);
        let message =
            format!("Relative workdir {folder} can have unexpected results if the base image changes");
        self.add(Rule::WorkdirRelativePath, lines, message);
    }

    /// `ENV key value`.
    pub(crate) fn of_legacy(&mut self, name: &str, lines: &Lines) {
        let message =
            format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
        self.add(Rule::LegacyKeyValueFormat, lines, message);
    }

    /// A source that the ignore file leaves out.
    pub(crate) fn of_ignored(&mut self, name: &str, source: &str, lines: &Lines) {
        let path = source.trim_start_matches('/').trim_end_matches('/');
        if self.ignore.as_ref().is_some_and(|ignore| ignore.excluded(path)) {
            let source = crate::quote::go(source);
            let message = format!("Attempting to {name} file {source} that is excluded by .dockerignore");
            self.add(Rule::CopyIgnoredFile, lines, message);
        }
    }

    /// Names that sound like secrets.
    pub(crate) fn of_secret(&mut self, instruction: &str, name: &str, lines: &Lines) {
        if rule::is_secret(name) {
            let name = crate::quote::go(name);
            let message =
                format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {name})");
            self.add(Rule::SecretsUsedInArgOrEnv, lines, message);
        }
    }

    /// Comments that do not say what is declared below them.
    pub(crate) fn of_descriptions(&mut self, instruction: &Instruction) {
        let Kind::Arg(args) = &instruction.kind else { return };
        if described_otherwise(&instruction.comments, args.iter().map(|arg| arg.name.as_str())) {
            let name = args.first().map(|arg| arg.name.as_str()).unwrap_or_default();
            let message = format!("Comment for argument should follow the format: `# {name} <description>`");
            self.add(Rule::InvalidDefinitionDescription, &instruction.lines, message);
        }
    }
}

fn described_otherwise<'n>(comments: &[String], names: impl IntoIterator<Item = &'n str>) -> bool {
    let Some(last) = comments.last() else { return false };
    let mut names = names.into_iter();
    !names.any(|name| last.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
}

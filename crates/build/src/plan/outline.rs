//! What can be given to a build: `--call=outline`.

use std::ops::RangeInclusive;

use super::globals;
use super::nodes::Nodes;
use super::planner::Planner;
use super::{Images, PlanError, PlanOptions, ResolvedImage};
use crate::check::Checks;
use crate::dockerfile::{Arg, Dockerfile, Instruction, Kind, MountType, Run};
use crate::expand::Variables;

/// What a target takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Name of the target; empty if its stage has none.
    pub name: String,
    /// What the comment above it says about it.
    pub description: Option<String>,
    /// Build arguments of the stages that it needs.
    pub args: Vec<OutlineArg>,
    /// Secrets of their steps.
    pub secrets: Vec<Wanted>,
    /// Key agents of their steps.
    pub ssh: Vec<Wanted>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// Its value, given or by default.
    pub value: String,
    /// What the comment above it says about it.
    pub description: Option<String>,
    /// Lines that declare it.
    pub lines: RangeInclusive<usize>,
}

/// Something of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether a step fails without it.
    pub required: bool,
    /// Lines of the first step that wants it.
    pub lines: RangeInclusive<usize>,
}

/// Finds no images: an outline needs none.
struct NoImages;

impl Images for NoImages {
    fn resolve(&self, name: &str, _: &wharf_oci::Platform) -> Result<ResolvedImage, String> {
        Err(format!("{name} is not looked up"))
    }
}

/// The outline of a target.
///
/// # Errors
/// There is no such target, or the stages that it needs cannot be told.
pub fn outline(file: &Dockerfile, options: &PlanOptions) -> Result<Outline, PlanError> {
    let mut checks = Checks::new("", None).map_err(PlanError::new)?;
    let mut nodes = Nodes::default();
    let platform = super::platforms(options).swap_remove(0);
    Planner::new(file, options, &NoImages, platform, &mut nodes, &mut checks).outline()
}

impl Planner<'_> {
    fn outline(mut self) -> Result<Outline, PlanError> {
        self.globals = globals::of(self.file, self.options, &self.platform, &self.lexer)?;
        self.declare_stages()?;
        let target = self.target()?;
        self.connect()?;
        self.refuse_cycles()?;
        let needed = self.needed(target);
        let stage = &self.file.stages[target];
        let mut outline =
            Outline { name: stage.name.clone(), description: stage.description(), ..Outline::default() };
        for (stage, _) in self.file.stages.iter().zip(needed).filter(|(_, needed)| *needed) {
            self.used_in_base(&stage.base, &mut outline)?;
            for instruction in &stage.instructions {
                match &instruction.kind {
                    Kind::Arg(args) => {
                        args.iter().try_for_each(|arg| self.argument(arg, instruction, &mut outline))?;
                    }
                    Kind::Run(run) => mounts(run, instruction, &mut outline),
                    _ => {}
                }
            }
        }
        outline.args.sort_by_key(|arg| *arg.lines.start());
        Ok(outline)
    }

    /// Global arguments that the name of a base is made with.
    fn used_in_base(&mut self, base: &str, outline: &mut Outline) -> Result<(), PlanError> {
        let used = self.lexer.expand(base, &self.globals).map_err(|e| PlanError::new(e.to_string()))?.matched;
        for instruction in &self.file.global_args {
            let Kind::Arg(args) = &instruction.kind else { continue };
            for arg in args.iter().filter(|arg| used.contains(&arg.name)) {
                self.argument(arg, instruction, outline)?;
            }
        }
        Ok(())
    }

    /// An argument where it is declared first: before the stages if it is there too.
    fn argument(
        &mut self,
        arg: &Arg,
        instruction: &Instruction,
        outline: &mut Outline,
    ) -> Result<(), PlanError> {
        if outline.args.iter().any(|known| known.name == arg.name) {
            return Ok(());
        }
        let declares = |instruction: &&Instruction| match &instruction.kind {
            Kind::Arg(args) => args.iter().any(|global| global.name == arg.name),
            _ => false,
        };
        let global = self.file.global_args.iter().find(declares);
        let default = match &arg.default {
            Some(default) => {
                let expanded = self.lexer.expand(default, &self.globals);
                Some(expanded.map_err(|e| PlanError::new(e.to_string()).at(&instruction.lines))?.text)
            }
            None => self.globals.get(&arg.name).map(str::to_owned),
        };
        let value = self.options.build_args.get(&arg.name).cloned().or(default).unwrap_or_default();
        // What follows may be made with it.
        self.globals.set(&arg.name, &value);
        outline.args.push(OutlineArg {
            name: arg.name.clone(),
            value,
            description: described(instruction, &arg.name)
                .or_else(|| global.and_then(|global| described(global, &arg.name))),
            lines: global.unwrap_or(instruction).lines.clone(),
        });
        Ok(())
    }
}

/// `# NAME explains`.
fn described(instruction: &Instruction, name: &str) -> Option<String> {
    let first = format!("{name} ");
    instruction.comments.iter().find_map(|line| line.strip_prefix(&first).map(str::to_owned))
}

fn mounts(run: &Run, instruction: &Instruction, outline: &mut Outline) {
    for spec in &run.mounts {
        let list = match spec.kind() {
            MountType::Secret => &mut outline.secrets,
            MountType::Ssh => &mut outline.ssh,
            _ => continue,
        };
        // One with variables in it is shown as it is written.
        let Ok(options) = spec.options(|word| Ok(word.to_owned())) else { continue };
        let base = options.target.rsplit('/').next().unwrap_or_default().to_owned();
        let name = [options.id, options.source, base].into_iter().find(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "default".to_owned());
        match list.iter_mut().find(|known| known.name == name) {
            Some(known) => known.required |= options.required,
            None => {
                list.push(Wanted { name, required: options.required, lines: instruction.lines.clone() });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_target_takes() {
        let text = "# VERSION says which\nARG VERSION=1\nARG NAME NAME2=$VERSION\nARG BASE=a\n\
            FROM $BASE AS base\n# FOO is a foo\nARG FOO BAR=${VERSION}2\nARG VERSION\n\
            RUN --mount=type=secret,id=tok true\nFROM a AS unused\nARG NO\n# end ends it\nFROM scratch AS end\n\
            COPY --from=base /a /b\nRUN --mount=type=ssh,required --mount=type=secret,target=/run/tok,required x\n";
        let file = Dockerfile::parse(text).unwrap();
        let options = PlanOptions {
            build_args: [("FOO".to_owned(), "given".to_owned())].into(),
            ..PlanOptions::default()
        };
        let found = outline(&file, &options).unwrap();
        assert_eq!((found.name.as_str(), found.description.as_deref()), ("end", Some("ends it")));
        let args: Vec<_> = found
            .args
            .iter()
            .map(|arg| {
                let description = arg.description.as_deref().unwrap_or_default();
                (arg.name.as_str(), arg.value.as_str(), description, *arg.lines.start())
            })
            .collect();
        assert_eq!(
            args,
            [
                ("VERSION", "1", "says which", 2),
                ("BASE", "a", "", 4),
                ("FOO", "given", "is a foo", 7),
                ("BAR", "12", "", 7)
            ]
        );
        let wanted = |list: &[Wanted]| list.iter().map(|w| (w.name.clone(), w.required)).collect::<Vec<_>>();
        assert_eq!(wanted(&found.secrets), [("tok".to_owned(), true)]);
        assert_eq!(wanted(&found.ssh), [("default".to_owned(), true)]);
        let options = PlanOptions { target: Some("base".to_owned()), ..PlanOptions::default() };
        assert!(outline(&file, &options).unwrap().ssh.is_empty());
    }
}

//! What stages need of each other.

use std::ops::RangeInclusive;

use super::PlanError;
use super::planner::Planner;
use super::stage::Stage;
use crate::dockerfile::{Instruction, Kind, MountType};
use crate::expand::NoVariables;

impl Planner<'_> {
    /// Finds what each instruction copies from or mounts.
    pub(super) fn connect(&mut self) -> Result<(), PlanError> {
        for at in 0..self.file.stages.len() {
            for step in 0..self.stages[at].steps.len() {
                let instruction = self.stages[at].steps[step].instruction.clone();
                let sources = self.sources(&instruction).map_err(|e| e.at(&instruction.lines))?;
                self.stages[at].steps[step].sources = sources;
            }
        }
        Ok(())
    }

    pub(super) fn sources(&mut self, instruction: &Instruction) -> Result<Vec<Option<usize>>, PlanError> {
        match &instruction.kind {
            Kind::Copy(_, flags) => match &flags.from {
                Some(from) => self.copied_stage(from, &instruction.lines).map(|stage| vec![Some(stage)]),
                None => Ok(Vec::new()),
            },
            Kind::Run(run) => Ok(run
                .mounts
                .iter()
                .map(|mount| match (mount.kind(), mount.from()) {
                    // compat: Docker has an empty stage for these, which shows in the names of steps.
                    (MountType::Cache, "") | (MountType::Tmpfs | MountType::Secret | MountType::Ssh, _) => {
                        self.more_than_one = true;
                        None
                    }
                    (_, "") => None,
                    (_, from) => Some(self.stage_of(from, &instruction.lines)),
                })
                .collect()),
            _ => Ok(Vec::new()),
        }
    }

    fn copied_stage(&mut self, from: &str, lines: &RangeInclusive<usize>) -> Result<usize, PlanError> {
        let expanded = self.lexer.expand(from, &NoVariables).map_err(|e| PlanError::new(e.to_string()))?;
        if expanded.text != from {
            return Err(PlanError::new(
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
            ));
        }
        match from.parse::<i64>() {
            Ok(index) => usize::try_from(index)
                .ok()
                .filter(|index| *index < self.stages.len())
                .ok_or_else(|| PlanError::new(format!("invalid stage index {index}"))),
            Err(_) => Ok(self.stage_of(from, lines)),
        }
    }

    /// The stage with a name, or a new one that is an image of that name.
    fn stage_of(&mut self, name: &str, lines: &RangeInclusive<usize>) -> usize {
        if let Some(at) = self.by_name.get(&name.to_lowercase()) {
            return *at;
        }
        let known = |stage: &Stage<'_>| stage.image_only && stage.base_name == name;
        if let Some(at) = self.stages.iter().position(known) {
            return at;
        }
        self.stages.push(Stage {
            name: String::new(),
            shown: String::new(),
            base_name: name.to_owned(),
            base: None,
            context: None,
            platform: None,
            steps: Vec::new(),
            lines: lines.clone(),
            image_only: true,
            no_cache: false,
            total: 0,
            count: 0,
            triggers_done: true,
            start: None,
            end: None,
        });
        self.stages.len() - 1
    }

    /// Refuses stages that need themselves.
    pub(super) fn refuse_cycles(&self) -> Result<(), PlanError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            No,
            Open,
            Done,
        }
        let mut seen = vec![Seen::No; self.stages.len()];
        for first in 0..self.stages.len() {
            // The sources that are left of each open stage; no recursion, for there may be thousands of stages.
            let mut path = vec![(first, self.stages[first].sources().collect::<Vec<_>>())];
            if seen[first] != Seen::No {
                continue;
            }
            seen[first] = Seen::Open;
            while let Some((at, left)) = path.last_mut() {
                let Some((source, lines)) = left.pop() else {
                    seen[*at] = Seen::Done;
                    path.pop();
                    continue;
                };
                match seen[source] {
                    Seen::Open => {
                        let name = &self.stages[first].shown;
                        let message = format!("circular dependency detected on stage: {name}");
                        return Err(PlanError::new(message).at(lines));
                    }
                    Seen::No => {
                        seen[source] = Seen::Open;
                        path.push((source, self.stages[source].sources().collect()));
                    }
                    Seen::Done => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn needed(&self, target: usize) -> Vec<bool> {
        let mut needed = vec![false; self.stages.len()];
        let mut open = vec![target];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut needed[at], true) {
                open.extend(self.stages[at].needs());
            }
        }
        needed
    }
}

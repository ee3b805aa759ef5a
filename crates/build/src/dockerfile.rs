//! The language of Dockerfiles: text to instructions, each with its lines and its words.
//!
//! Parsing expands nothing and knows no images; [`crate::plan`] does that.

mod directives;
mod error;
mod flags;
mod health;
mod heredoc;
mod instruction;
mod lines;
mod mount;
mod parse;
mod split;
mod suggest;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use directives::Directives;
pub use error::ParseError;
pub use heredoc::Heredoc;
pub use instruction::{
    AddFlags, Arg, Command, CopyFlags, Files, Instruction, Kind, NetworkMode, Pair, Run, RunDevice, Stage,
};
pub use mount::{MountSpec, MountType};
pub(crate) use mount::{Options as MountOptions, parse_bool};
pub(crate) use parse::{instructions, trigger};
pub(crate) use suggest::nearest;

/// Longest text of a Dockerfile in bytes.
pub const LONGEST_TEXT: usize = 4 << 20;

/// Most instructions in a Dockerfile.
pub const MOST_INSTRUCTIONS: usize = 10_000;

/// A Dockerfile, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// The text it was parsed from, without a byte order mark.
    pub text: String,
    /// What its head says.
    pub directives: Directives,
    /// `ARG` before the first `FROM`.
    pub global_args: Vec<Instruction>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// Last lines of instructions with an empty line among their continuation lines.
    pub empty_continuations: Vec<usize>,
}

impl Dockerfile {
    /// Parses the text of a Dockerfile.
    ///
    /// # Errors
    /// In Docker's words, with the lines that are wrong.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::dockerfile(text)
    }

    /// The stages that can be built, in order: what `--call=targets` lists.
    pub fn targets(&self) -> impl Iterator<Item = Target<'_>> {
        let last = self.stages.len() - 1;
        self.stages.iter().enumerate().map(move |(i, stage)| Target {
            name: &stage.name,
            description: stage.description(),
            base: &stage.base,
            platform: stage.platform.as_deref(),
            default: i == last,
            lines: stage.lines.clone(),
        })
    }
}

/// A stage that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// Its name; empty if it has none.
    pub name: &'a str,
    /// What the comment above it says about it.
    pub description: Option<String>,
    /// What it starts from, as written.
    pub base: &'a str,
    /// `--platform`, as written.
    pub platform: Option<&'a str>,
    /// Whether it is built when no target is named.
    pub default: bool,
    /// Lines of its `FROM`.
    pub lines: std::ops::RangeInclusive<usize>,
}

//! Instructions, as written: nothing in them is expanded yet.

use std::ops::RangeInclusive;

use wharf_oci::image::Healthcheck;

use super::{Heredoc, MountSpec};

/// A stage: `FROM` and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Name in lower case; empty if it has none.
    pub name: String,
    /// Name as written.
    pub name_as_written: String,
    /// What it starts from: an image, another stage, `scratch`.
    pub base: String,
    /// `--platform`.
    pub platform: Option<String>,
    /// `FROM` and `AS` as written, for the check of their case.
    pub keywords: (String, String),
    /// Lines of `FROM`.
    pub lines: RangeInclusive<usize>,
    /// `FROM …` as written, joined.
    pub source: String,
    /// Comment lines right before it.
    pub comments: Vec<String>,
    /// What is done in it.
    pub instructions: Vec<Instruction>,
}

impl Stage {
    /// What the comment above it says about it: `# name explains`.
    pub fn description(&self) -> Option<String> {
        let first = format!("{} ", self.name);
        self.comments.iter().find_map(|line| line.strip_prefix(&first).map(str::to_owned))
    }
}

/// An instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// What it says.
    pub kind: Kind,
    /// Its keyword as written.
    pub keyword: String,
    /// Where it stands, from 1.
    pub lines: RangeInclusive<usize>,
    /// Its text as written, continuation lines joined, without here-documents.
    pub source: String,
    /// Comment lines right before it.
    pub comments: Vec<String>,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `ADD`.
    Add(Files, AddFlags),
    /// `ARG`.
    Arg(Vec<Arg>),
    /// `CMD`.
    Cmd(Command),
    /// `COPY`.
    Copy(Files, CopyFlags),
    /// `ENTRYPOINT`.
    Entrypoint(Command),
    /// `ENV`.
    Env(Vec<Pair>),
    /// `EXPOSE`.
    Expose(Vec<String>),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `LABEL`.
    Label(Vec<Pair>),
    /// `MAINTAINER`.
    Maintainer(String),
    /// `ONBUILD`: the trigger's text with its here-documents.
    Onbuild(String),
    /// `RUN`.
    Run(Box<Run>),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `STOPSIGNAL`.
    Stopsignal(String),
    /// `USER`.
    User(String),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
}

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub key: String,
    /// The value, with its quotes.
    pub value: String,
    /// Whether a blank stands between them.
    pub legacy: bool,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The name.
    pub name: String,
    /// Its default, with its quotes.
    pub default: Option<String>,
}

/// A command in shell or exec form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The words of the exec form; the text of the shell form as one; none if there is nothing.
    pub words: Vec<String>,
    /// Whether a shell runs it.
    pub shell: bool,
}

/// `RUN`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: Command,
    /// Here-documents.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`.
    pub mounts: Vec<MountSpec>,
    /// `--network`.
    pub network: NetworkMode,
    /// `--security=insecure`.
    pub insecure: bool,
    /// `--device`.
    pub devices: Vec<RunDevice>,
}

/// `RUN --network`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// Not said, or `default`.
    #[default]
    Default,
    /// `none`.
    None,
    /// `host`.
    Host,
}

/// `RUN --device`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunDevice {
    /// Its name.
    pub name: String,
    /// Whether the step fails without it.
    pub required: bool,
}

/// What `ADD` and `COPY` have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Paths, patterns and addresses, in order.
    pub sources: Vec<String>,
    /// Here-documents.
    pub heredocs: Vec<Heredoc>,
    /// Where they go.
    pub destination: String,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--exclude`.
    pub exclude: Vec<String>,
}

/// Flags of `COPY` alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyFlags {
    /// `--from`.
    pub from: Option<String>,
    /// `--parents`.
    pub parents: bool,
}

/// Flags of `ADD` alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddFlags {
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--keep-git-dir`.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`.
    pub unpack: Option<bool>,
}

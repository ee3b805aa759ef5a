//! The definition of a command: its place, its flags, what it accepts and what it does.

use crate::{Cli, Matches, Result, flag::Flag};

/// What runs a command.
pub(crate) type Run = fn(&Cli, &Matches) -> Result<()>;

/// How many positional arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Args {
    None,
    Exact(usize),
    Min(usize),
    Max(usize),
    Range(usize, usize),
    Any,
}

/// Where the root help lists a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Common,
    Management,
    Other,
    Hidden,
}

/// What a command does when it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    Run(Run),
    /// Only holds the commands below it.
    Group(&'static [Command]),
    /// Known from Docker, refused with a message.
    Unsupported,
}

/// A command of the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Other names that find the command at the same place.
    pub(crate) other_names: &'static [&'static str],
    /// What follows the name in the usage line; more lines for more forms.
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    /// The longer text of `--help`, where `about` is not enough.
    pub(crate) long: &'static str,
    /// Every place of the command, without the program's name, for the help text.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) args: Args,
    pub(crate) flags: &'static [Flag],
    /// False: everything behind the first positional argument belongs to the container's command.
    pub(crate) interspersed: bool,
    pub(crate) section: Section,
    /// Docker reserves itself the right to change it; the help says so.
    pub(crate) experimental: bool,
    pub(crate) action: Action,
}

impl Command {
    /// A command that takes no arguments and is not supported, to be refined by the methods below.
    pub(crate) const fn new(name: &'static str, usage: &'static str, about: &'static str) -> Self {
        Self {
            name,
            other_names: &[],
            usage,
            about,
            long: "",
            aliases: &[],
            args: Args::None,
            flags: &[],
            interspersed: true,
            section: Section::Other,
            experimental: false,
            action: Action::Unsupported,
        }
    }

    /// A command that only holds others.
    pub(crate) const fn group(name: &'static str, about: &'static str, below: &'static [Command]) -> Self {
        let mut command = Self::new(name, "COMMAND", about);
        command.section = Section::Management;
        command.action = Action::Group(below);
        command
    }

    /// The same command under another name, as `ps` is `container ls`.
    pub(crate) const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self.other_names = &[];
        self
    }

    pub(crate) const fn other_names(mut self, names: &'static [&'static str]) -> Self {
        self.other_names = names;
        self
    }

    pub(crate) const fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }

    pub(crate) const fn long(mut self, text: &'static str) -> Self {
        self.long = text;
        self
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn args(mut self, args: Args) -> Self {
        self.args = args;
        self
    }

    pub(crate) const fn flags(mut self, flags: &'static [Flag]) -> Self {
        self.flags = flags;
        self
    }

    /// Leaves everything behind the first positional argument alone.
    pub(crate) const fn trailing(mut self) -> Self {
        self.interspersed = false;
        self
    }

    pub(crate) const fn section(mut self, section: Section) -> Self {
        self.section = section;
        self
    }

    pub(crate) const fn experimental(mut self) -> Self {
        self.experimental = true;
        self
    }

    pub(crate) const fn run(mut self, run: Run) -> Self {
        self.action = Action::Run(run);
        self
    }

    /// The commands below this one.
    pub(crate) const fn below(&self) -> &'static [Command] {
        match self.action {
            Action::Group(below) => below,
            _ => &[],
        }
    }

    /// Finds a command below this one by any of its names.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Command> {
        self.below().iter().find(|c| c.name == name || c.other_names.contains(&name))
    }

    /// True where the help lists the command.
    pub(crate) fn listed(&self) -> bool {
        self.section != Section::Hidden && !matches!(self.action, Action::Unsupported)
    }
}

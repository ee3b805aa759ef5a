//! The tree of a template. `Display` gives the source form that error messages quote.

use std::fmt::{self, Display, Formatter};

/// A piece of a template.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { pos: usize, name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// The body of `if`, `with` and `range`.
#[derive(Debug, Clone)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) list: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// Commands joined by `|`, and the variables that take the result.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    pub(crate) pos: usize,
    pub(crate) decl: Vec<String>,
    pub(crate) assign: bool,
    pub(crate) commands: Vec<Command>,
}

/// One stage of a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) pos: usize,
    pub(crate) args: Vec<Arg>,
}

/// An operand and where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Arg {
    pub(crate) pos: usize,
    pub(crate) kind: ArgKind,
}

/// The kinds of operands.
#[derive(Debug, Clone)]
pub(crate) enum ArgKind {
    Dot,
    Nil,
    Bool(bool),
    /// A number and its source form.
    Int(i64, String),
    Float(f64, String),
    /// The text and its quoted source form.
    Str(String, String),
    Field(Vec<String>),
    /// The name with its `$`, and the fields taken of it.
    Variable(String, Vec<String>),
    Function(String),
    Chain(Box<Arg>, Vec<String>),
    Pipe(Pipe),
}

impl ArgKind {
    /// True for what cannot take the result of the stage before.
    pub(crate) fn is_constant(&self) -> bool {
        matches!(
            self,
            Self::Bool(_) | Self::Dot | Self::Nil | Self::Int(..) | Self::Float(..) | Self::Str(..)
        )
    }
}

fn fields(f: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

impl Display for Arg {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ArgKind::Dot => f.write_str("."),
            ArgKind::Nil => f.write_str("nil"),
            ArgKind::Bool(value) => write!(f, "{value}"),
            ArgKind::Int(_, text) | ArgKind::Float(_, text) | ArgKind::Str(_, text) => f.write_str(text),
            ArgKind::Field(names) => fields(f, names),
            ArgKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            ArgKind::Function(name) => f.write_str(name),
            ArgKind::Chain(arg, names) => {
                match arg.kind {
                    ArgKind::Pipe(_) => write!(f, "({arg})")?,
                    _ => write!(f, "{arg}")?,
                }
                fields(f, names)
            }
            ArgKind::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match arg.kind {
                ArgKind::Pipe(_) => write!(f, "({arg})")?,
                _ => write!(f, "{arg}")?,
            }
        }
        Ok(())
    }
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.decl.is_empty() {
            write!(f, "{} {} ", self.decl.join(", "), if self.assign { "=" } else { ":=" })?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

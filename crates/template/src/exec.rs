//! Runs a template over its data.

use std::fmt::Display;

use crate::{
    Error, Nil, Result, Template, Value,
    ast::{Arg, ArgKind, Branch, Command, Node, Pipe},
    field::field,
    funcs::{self, Type},
    printf,
};

/// How deep templates may call each other.
const MAX_DEPTH: usize = 1000;

/// Renders `template` with `data`.
///
/// # Errors
/// [`Error::Exec`] with the place in the template.
pub(crate) fn execute(template: &Template, data: &Value) -> Result<String> {
    let mut state = State {
        template,
        name: &template.name,
        out: String::new(),
        variables: vec![("$", data.clone())],
        at: At::Nowhere,
        depth: 0,
    };
    state.walk(data, &template.root)?;
    Ok(state.out)
}

/// The part of the template that is being evaluated, for messages.
#[derive(Clone, Copy)]
enum At<'a> {
    Nowhere,
    Arg(&'a Arg),
    Command(&'a Command),
    Pipe(&'a Pipe),
    Template(usize, &'a str),
}

/// How a list of nodes ended.
enum Flow {
    Next,
    Break,
    Continue,
}

struct State<'a> {
    template: &'a Template,
    /// The name of the template that runs, which may be a defined one.
    name: &'a str,
    out: String,
    variables: Vec<(&'a str, Value)>,
    at: At<'a>,
    depth: usize,
}

impl<'a> State<'a> {
    fn error<T>(&self, text: impl Display) -> Result<T> {
        let (pos, shown) = match self.at {
            At::Nowhere => return Err(Error::Exec(format!("template: {}: {text}", self.template.name))),
            At::Arg(arg) => (arg.pos, arg.to_string()),
            At::Command(command) => (command.pos, command.to_string()),
            At::Pipe(pipe) => (pipe.pos, pipe.to_string()),
            At::Template(pos, name) => (pos, format!("{{{{template {}}}}}", printf::quote(name))),
        };
        let before = &self.template.source[..pos];
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(pos, |newline| pos - newline - 1);
        Err(Error::Exec(format!(
            "template: {}:{line}:{column}: executing {} at <{shown}>: {text}",
            self.template.name,
            printf::quote(self.name)
        )))
    }

    fn walk(&mut self, dot: &Value, nodes: &'a [Node]) -> Result<Flow> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipeline(dot, pipe)?;
                    if pipe.decl.is_empty() {
                        self.print(&value);
                    }
                }
                Node::If(branch) | Node::With(branch) => {
                    match self.branch(dot, branch, matches!(node, Node::With(_)))? {
                        Flow::Next => {}
                        flow => return Ok(flow),
                    }
                }
                Node::Range(branch) => self.range(dot, branch)?,
                Node::Template { pos, name, pipe } => self.call_template(dot, *pos, name, pipe.as_ref())?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value) {
        match value {
            Value::None | Value::Nil(Nil::Interface) => self.out.push_str("<no value>"),
            Value::Str(text) => self.out.push_str(text),
            other => self.out.push_str(&printf::plain(other)),
        }
    }

    fn branch(&mut self, dot: &Value, branch: &'a Branch, with: bool) -> Result<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = match value.truth() {
            true => self.walk(if with { &value } else { dot }, &branch.list),
            false => self.walk(dot, &branch.otherwise),
        };
        self.variables.truncate(mark);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &'a Branch) -> Result<()> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::List(items) => {
                items.iter().enumerate().map(|(i, item)| (Value::Int(i as i64), item.clone())).collect()
            }
            Value::Map(map) => map.entries.iter().map(|(k, v)| (Value::text(k), v.clone())).collect(),
            // A document without type information stands for a map, whose keys are sorted.
            Value::Struct(data) if data.type_name.is_none() => {
                let shown = data.fields.iter().filter(|(name, _)| !data.omitted.contains(name));
                let mut fields: Vec<_> = shown.map(|(k, v)| (Value::text(k), v.clone())).collect();
                fields.sort_by_key(|(key, _)| printf::plain(key));
                fields
            }
            Value::Int(count) => {
                if branch.pipe.decl.len() > 1 {
                    return self.error(format!("can't use {count} to iterate over more than one variable"));
                }
                (0..*count).map(|i| (Value::Int(i), Value::Int(i))).collect()
            }
            Value::None | Value::Nil(_) => Vec::new(),
            other => return self.error(format!("range can't iterate over {}", printf::plain(other))),
        };
        if items.is_empty() {
            self.walk(dot, &branch.otherwise)?;
        }
        // The pipeline left its variables behind; each round sets them anew.
        let declared = self.variables.len();
        for (index, item) in items {
            self.set_loop_variables(&branch.pipe, &index, &item)?;
            let flow = self.walk(&item, &branch.list)?;
            self.variables.truncate(declared);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        self.variables.truncate(mark);
        Ok(())
    }

    fn set_loop_variables(&mut self, pipe: &'a Pipe, index: &Value, item: &Value) -> Result<()> {
        let values: &[&Value] = if pipe.decl.len() > 1 { &[index, item] } else { &[item] };
        for (name, value) in pipe.decl.iter().zip(values) {
            self.set_variable(name, (*value).clone())?;
        }
        Ok(())
    }

    fn call_template(
        &mut self,
        dot: &Value,
        pos: usize,
        name: &'a str,
        pipe: Option<&'a Pipe>,
    ) -> Result<()> {
        self.at = At::Template(pos, name);
        let template = self.template;
        let Some(nodes) = template.defined.get(name) else {
            return self.error(format!("template {} not defined", printf::quote(name)));
        };
        if self.depth == MAX_DEPTH {
            return self.error(format!("exceeded maximum template depth ({MAX_DEPTH})"));
        }
        let data = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::None,
        };
        let variables = std::mem::replace(&mut self.variables, vec![("$", data.clone())]);
        let outer = std::mem::replace(&mut self.name, name);
        self.depth += 1;
        self.walk(&data, nodes)?;
        self.depth -= 1;
        self.name = outer;
        self.variables = variables;
        Ok(())
    }

    fn set_variable(&mut self, name: &str, value: Value) -> Result<()> {
        match self.variables.iter_mut().rev().find(|(n, _)| *n == name) {
            Some(variable) => {
                variable.1 = value;
                Ok(())
            }
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    fn pipeline(&mut self, dot: &Value, pipe: &'a Pipe) -> Result<Value> {
        self.at = At::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or_default();
        for name in &pipe.decl {
            if pipe.assign {
                self.set_variable(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &'a Command, last: Option<Value>) -> Result<Value> {
        let first = &command.args[0];
        self.at = At::Arg(first);
        match &first.kind {
            ArgKind::Field(_) | ArgKind::Chain(..) => {
                return self.fields(dot, first, &command.args, last);
            }
            ArgKind::Variable(_, names) if !names.is_empty() => {
                return self.fields(dot, first, &command.args, last);
            }
            ArgKind::Function(name) => return self.function(dot, name, command, last),
            _ => {}
        }
        if command.args.len() > 1 || last.is_some() {
            return self.error(format!("can't give argument to non-function {first}"));
        }
        if matches!(first.kind, ArgKind::Nil) {
            return self.error("nil is not a command");
        }
        self.value(dot, first)
    }

    /// The value of an operand that takes no arguments.
    fn value(&mut self, dot: &Value, arg: &'a Arg) -> Result<Value> {
        self.at = At::Arg(arg);
        match &arg.kind {
            ArgKind::Dot => Ok(dot.clone()),
            ArgKind::Nil => Ok(Value::Nil(Nil::Interface)),
            ArgKind::Bool(value) => Ok(Value::Bool(*value)),
            ArgKind::Int(value, _) => Ok(Value::Int(*value)),
            ArgKind::Float(value, _) => Ok(Value::Float(*value)),
            ArgKind::Str(text, _) => Ok(Value::text(text)),
            ArgKind::Variable(name, names) if names.is_empty() => self.variable(name),
            ArgKind::Variable(..) | ArgKind::Field(_) | ArgKind::Chain(..) => {
                self.fields(dot, arg, std::slice::from_ref(arg), None)
            }
            ArgKind::Pipe(pipe) => self.pipeline(dot, pipe),
            ArgKind::Function(name) => match self.call(dot, name, &[], None)? {
                Ok(value) => Ok(value),
                Err(text) => self.error(format!("error calling {name}: {text}")),
            },
        }
    }

    fn variable(&self, name: &str) -> Result<Value> {
        match self.variables.iter().rev().find(|(n, _)| *n == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    /// `.A.B args…`: only the last name may take arguments.
    fn fields(&mut self, dot: &Value, arg: &'a Arg, args: &'a [Arg], last: Option<Value>) -> Result<Value> {
        let (mut receiver, names) = match &arg.kind {
            ArgKind::Field(names) => (dot.clone(), names),
            ArgKind::Variable(name, names) => (self.variable(name)?, names),
            ArgKind::Chain(inner, _) if matches!(inner.kind, ArgKind::Nil) => {
                return self.error(format!("indirection through explicit nil in {arg}"));
            }
            ArgKind::Chain(inner, names) => (self.value(dot, inner)?, names),
            _ => return self.value(dot, arg),
        };
        let strict = self.template.missing_key_is_error;
        let at = self.at;
        let mut values = Vec::new();
        for arg in &args[1..] {
            values.push(self.argument(dot, Type::Any, arg)?);
        }
        values.extend(last);
        self.at = at;
        for (i, name) in names.iter().enumerate() {
            let last = i + 1 == names.len();
            if !last && leads_nowhere(&receiver, name) {
                // compat: Docker then tries the document itself, which does not have the field.
                return self.error(format!("map has no entry for key {}", printf::quote(name)));
            }
            let args = if last { values.as_slice() } else { &[] };
            receiver = match field(&receiver, name, args, strict) {
                Ok(value) => value,
                Err(text) => return self.error(text),
            };
        }
        Ok(receiver)
    }

    fn function(
        &mut self,
        dot: &Value,
        name: &str,
        command: &'a Command,
        last: Option<Value>,
    ) -> Result<Value> {
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, name, &command.args[1..], last);
        }
        if let ("call", Some(arg)) = (name, command.args.get(1)) {
            // No value of a template is a function.
            let type_name = self.value(dot, arg)?.type_name();
            self.at = At::Command(command);
            return self.error(format!("error calling call: non-function {arg} of type {type_name}"));
        }
        match self.call(dot, name, &command.args[1..], last)? {
            Ok(value) => Ok(value),
            Err(text) => {
                self.at = At::Command(command);
                self.error(format!("error calling {name}: {text}"))
            }
        }
    }

    /// Calls a function; what the function itself reports is inside, still without its place.
    fn call(
        &mut self,
        dot: &Value,
        name: &str,
        args: &'a [Arg],
        last: Option<Value>,
    ) -> Result<std::result::Result<Value, String>> {
        let Some(signature) = funcs::find(name) else {
            return self.error(format!("{} is not a defined function", printf::quote(name)));
        };
        let (given, want) = (args.len() + usize::from(last.is_some()), signature.fixed.len());
        if signature.variadic.is_some() && given < want {
            return self.error(format!("wrong number of args for {name}: want at least {want} got {given}"));
        }
        if signature.variadic.is_none() && given != want {
            return self.error(format!("wrong number of args for {name}: want {want} got {given}"));
        }
        let type_of = |i: usize| signature.fixed.get(i).copied().or(signature.variadic).unwrap_or(Type::Any);
        let mut values = Vec::with_capacity(given);
        for (i, arg) in args.iter().enumerate() {
            values.push(self.argument(dot, type_of(i), arg)?);
        }
        if let Some(last) = last {
            values.push(self.typed(type_of(values.len()), last)?);
        }
        Ok(funcs::call(name, &values, self.template.header))
    }

    fn short_circuit(
        &mut self,
        dot: &Value,
        name: &str,
        args: &'a [Arg],
        last: Option<Value>,
    ) -> Result<Value> {
        if args.is_empty() && last.is_none() {
            return self.error(format!("wrong number of args for {name}: want at least 1 got 0"));
        }
        let mut value = Value::None;
        for arg in args {
            value = self.argument(dot, Type::Any, arg)?;
            if value.truth() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Value, wanted: Type, arg: &'a Arg) -> Result<Value> {
        self.at = At::Arg(arg);
        let found = |state: &Self, what: &str| state.error(format!("expected {what}; found {arg}"));
        match (wanted, &arg.kind) {
            (Type::Texts, ArgKind::Nil) => Ok(Value::Nil(Nil::List)),
            (Type::Texts, kind) if kind.is_constant() && !matches!(kind, ArgKind::Dot) => {
                self.error(format!("can't handle {arg} for arg of type []string"))
            }
            (Type::Text | Type::Int, ArgKind::Nil) => {
                self.error(format!("cannot assign nil to {}", wanted.name()))
            }
            (Type::Text, ArgKind::Bool(_) | ArgKind::Int(..) | ArgKind::Float(..)) => found(self, "string"),
            (Type::Int, ArgKind::Bool(_) | ArgKind::Float(..) | ArgKind::Str(..)) => found(self, "integer"),
            _ => {
                let value = self.value(dot, arg)?;
                self.typed(wanted, value)
            }
        }
    }

    fn typed(&self, wanted: Type, value: Value) -> Result<Value> {
        if wanted.takes(&value) {
            return Ok(value);
        }
        let name = wanted.name();
        match value {
            Value::None | Value::Nil(Nil::Interface) => self.error(format!("invalid value; expected {name}")),
            other => self.error(format!("wrong type for value; expected {name}; got {}", other.type_name())),
        }
    }
}

/// True if the field is an empty pointer that the document leaves out.
fn leads_nowhere(receiver: &Value, name: &str) -> bool {
    let Value::Struct(data) = receiver else { return false };
    data.type_name.is_none()
        && data.omitted.iter().any(|omitted| omitted == name)
        && matches!(data.get(name), Some(Value::Nil(Nil::Pointer)))
}

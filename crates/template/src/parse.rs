//! Tokens to a tree, with the checks and messages of Go's parser.

use std::collections::HashMap;

use crate::{
    Error,
    ast::{Arg, ArgKind, Branch, Command, Node, Pipe},
    funcs,
    lex::{self, Kind, Token},
    printf::quote,
};

/// The templates made by `define` and `block`.
pub(crate) type Defined = HashMap<String, Vec<Node>>;

type Parsed<T> = std::result::Result<T, String>;

/// What ended a list of nodes.
enum End {
    End,
    /// `{{else}}`, or `{{else if …}}` and `{{else with …}}` with their keyword still to come.
    Else(Option<&'static str>),
}

impl End {
    fn shown(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else(_) => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Nothing,
    End(End),
}

/// Parses a template and those it defines.
///
/// # Errors
/// [`Error::Parse`] with the line.
pub(crate) fn parse(name: &str, source: &str) -> crate::Result<(Vec<Node>, Defined)> {
    let mut parser = Parser {
        name,
        tokens: lex::lex(source),
        at: 0,
        last_line: 1,
        action_line: 0,
        variables: vec!["$".to_owned()],
        loops: 0,
        defined: HashMap::new(),
    };
    match parser.top() {
        Ok(root) => Ok((root, parser.defined)),
        Err(text) => Err(Error::Parse(format!("template: {name}:{}: {text}", parser.last_line))),
    }
}

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Token>,
    at: usize,
    last_line: usize,
    action_line: usize,
    variables: Vec<String>,
    loops: usize,
    defined: Defined,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        self.last_line = token.line;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.at += 1;
        }
        self.last_line = self.peek().line;
    }

    fn next_token(&mut self) -> Token {
        self.skip_space();
        self.next()
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return Err(format!("unexpected {} in {context}", token.shown()));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            let lead = if token.text.ends_with(" action") { "" } else { " in action" };
            extra = format!("{lead} started at {}:{}", self.name, self.action_line);
        }
        Err(format!("{}{extra}", token.text))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_token();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn top(&mut self) -> Parsed<Vec<Node>> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::Eof {
            match self.item(true)? {
                Item::Node(node) => root.push(node),
                Item::Nothing => {}
                Item::End(end) => return Err(format!("unexpected {}", end.shown())),
            }
        }
        Ok(root)
    }

    fn item(&mut self, top: bool) -> Parsed<Item> {
        let token = self.next_token();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action(top);
                if item.is_ok() {
                    self.action_line = 0;
                }
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self, top: bool) -> Parsed<Item> {
        self.skip_space();
        if self.peek().kind != Kind::Keyword {
            return Ok(Item::Node(Node::Action(self.pipeline("command", Kind::RightDelim)?)));
        }
        let keyword = self.next();
        Ok(match keyword.text.as_str() {
            "block" => Item::Node(self.block()?),
            "break" | "continue" => Item::Node(self.jump(&keyword.text)?),
            "define" if top => {
                self.define()?;
                Item::Nothing
            }
            "define" => return self.unexpected(&keyword, "command"),
            "else" => Item::End(End::Else(self.otherwise()?)),
            "end" => {
                self.expect(Kind::RightDelim, "end")?;
                Item::End(End::End)
            }
            "if" => Item::Node(Node::If(self.control("if")?)),
            "range" => Item::Node(Node::Range(self.control("range")?)),
            "with" => Item::Node(Node::With(self.control("with")?)),
            _ => Item::Node(self.template()?),
        })
    }

    fn otherwise(&mut self) -> Parsed<Option<&'static str>> {
        self.skip_space();
        if self.peek().kind == Kind::Keyword {
            match self.peek().text.as_str() {
                "if" => return Ok(Some("if")),
                "with" => return Ok(Some("with")),
                _ => {}
            }
        }
        self.expect(Kind::RightDelim, "else")?;
        Ok(None)
    }

    fn jump(&mut self, keyword: &str) -> Parsed<Node> {
        let token = self.next_token();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, &format!("{{{{{keyword}}}}}"));
        }
        if self.loops == 0 {
            return Err(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
        }
        Ok(if keyword == "break" { Node::Break } else { Node::Continue })
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, End)> {
        let mut list = Vec::new();
        loop {
            self.skip_space();
            if self.peek().kind == Kind::Eof {
                return Err("unexpected EOF".to_owned());
            }
            match self.item(false)? {
                Item::Node(node) => list.push(node),
                Item::Nothing => {}
                Item::End(end) => return Ok((list, end)),
            }
        }
    }

    fn control(&mut self, context: &'static str) -> Parsed<Branch> {
        let variables = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.loops += usize::from(context == "range");
        let (list, end) = self.list()?;
        self.loops -= usize::from(context == "range");
        let otherwise = match end {
            End::End => Vec::new(),
            End::Else(Some(keyword)) if keyword == context => {
                self.next();
                let branch = self.control(context)?;
                vec![if context == "if" { Node::If(branch) } else { Node::With(branch) }]
            }
            End::Else(Some(_)) => {
                let token = self.next();
                return self.unexpected(&token, "input");
            }
            End::Else(None) => match self.list()? {
                (list, End::End) => list,
                (_, other) => return Err(format!("expected end; found {}", other.shown())),
            },
        };
        self.variables.truncate(variables);
        Ok(Branch { pipe, list, otherwise })
    }

    fn template_name(&mut self, context: &str) -> Parsed<String> {
        let token = self.next_token();
        match token.kind {
            Kind::Str | Kind::RawStr => unquote(&token.text).ok_or_else(|| "invalid syntax".to_owned()),
            _ => self.unexpected(&token, context),
        }
    }

    fn template(&mut self) -> Parsed<Node> {
        self.skip_space();
        let pos = self.peek().pos;
        let name = self.template_name("template clause")?;
        self.skip_space();
        if self.peek().kind == Kind::RightDelim {
            self.next();
            return Ok(Node::Template { pos, name, pipe: None });
        }
        let pipe = self.pipeline("template clause", Kind::RightDelim)?;
        Ok(Node::Template { pos, name, pipe: Some(pipe) })
    }

    fn body(&mut self, context: &str) -> Parsed<Vec<Node>> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (list, end) = self.list()?;
        self.variables = outer;
        self.loops = loops;
        match end {
            End::End => Ok(list),
            other => Err(format!("unexpected {} in {context}", other.shown())),
        }
    }

    fn define(&mut self) -> Parsed<()> {
        let name = self.template_name("define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        let list = self.body("define clause")?;
        self.defined.insert(name, list);
        Ok(())
    }

    fn block(&mut self) -> Parsed<Node> {
        self.skip_space();
        let pos = self.peek().pos;
        let name = self.template_name("block clause")?;
        let pipe = self.pipeline("block clause", Kind::RightDelim)?;
        let list = self.body("block clause")?;
        self.defined.insert(name.clone(), list);
        Ok(Node::Template { pos, name, pipe: Some(pipe) })
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        self.skip_space();
        let mut pipe = Pipe { pos: self.peek().pos, decl: Vec::new(), assign: false, commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_token();
            match token.kind {
                kind if kind == end => {
                    check_pipe(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawStr
                | Kind::Str
                | Kind::Variable
                | Kind::LeftParen => {
                    self.at -= 1;
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        loop {
            self.skip_space();
            if self.peek().kind != Kind::Variable {
                return Ok(());
            }
            let start = self.at;
            let variable = self.next();
            self.skip_space();
            let next = self.peek().clone();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.next();
                    pipe.assign = next.kind == Kind::Assign;
                    pipe.decl.push(variable.text.clone());
                    self.variables.push(variable.text);
                    return Ok(());
                }
                Kind::Char if next.text == "," => {
                    self.next();
                    pipe.decl.push(variable.text.clone());
                    self.variables.push(variable.text);
                    if context == "range" && pipe.decl.len() < 2 {
                        self.skip_space();
                        match self.peek().kind {
                            Kind::Variable | Kind::RightDelim | Kind::RightParen => continue,
                            _ => return Err("range can only initialize variables".to_owned()),
                        }
                    }
                    return Err(format!("too many declarations in {context}"));
                }
                _ => {
                    self.at = start;
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.skip_space();
        let mut command = Command { pos: self.peek().pos, args: Vec::new() };
        loop {
            self.skip_space();
            if let Some(arg) = self.operand()? {
                command.args.push(arg);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.at -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if command.args.is_empty() { Err("empty command".to_owned()) } else { Ok(command) }
    }

    fn operand(&mut self) -> Parsed<Option<Arg>> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let pos = self.peek().pos;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.next().text[1..].to_owned());
        }
        let shown = term.to_string();
        let kind = match term.kind {
            ArgKind::Field(mut first) => {
                first.extend(names);
                ArgKind::Field(first)
            }
            ArgKind::Variable(name, mut first) => {
                first.extend(names);
                ArgKind::Variable(name, first)
            }
            kind if kind.is_constant() => return Err(format!("unexpected . after term {}", quote(&shown))),
            kind => ArgKind::Chain(Box::new(Arg { pos: term.pos, kind }), names),
        };
        Ok(Some(Arg { pos, kind }))
    }

    fn term(&mut self) -> Parsed<Option<Arg>> {
        let token = self.next_token();
        let kind = match token.kind {
            Kind::Identifier if funcs::exists(&token.text) => ArgKind::Function(token.text),
            Kind::Identifier => return Err(format!("function {} not defined", quote(&token.text))),
            Kind::Dot => ArgKind::Dot,
            Kind::Nil => ArgKind::Nil,
            Kind::Bool => ArgKind::Bool(token.text == "true"),
            Kind::Field => ArgKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Variable if self.variables.contains(&token.text) => {
                ArgKind::Variable(token.text, Vec::new())
            }
            Kind::Variable => return Err(format!("undefined variable {}", quote(&token.text))),
            Kind::Number => number(token.text)?,
            Kind::CharConstant => {
                match unquote(&token.text).as_deref().map(|t| t.chars().collect::<Vec<_>>()) {
                    Some(chars) if chars.len() == 1 => ArgKind::Int(chars[0] as i64, token.text),
                    _ => return Err(format!("malformed character constant: {}", token.text)),
                }
            }
            Kind::Str | Kind::RawStr => match unquote(&token.text) {
                Some(text) => ArgKind::Str(text, token.text),
                None => return Err("invalid syntax".to_owned()),
            },
            Kind::LeftParen => ArgKind::Pipe(self.pipeline("parenthesized pipeline", Kind::RightParen)?),
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Arg { pos: token.pos, kind }))
    }
}

fn check_pipe(pipe: &Pipe, context: &str) -> Parsed<()> {
    if pipe.commands.is_empty() {
        return Err(format!("missing value for {context}"));
    }
    for (stage, command) in pipe.commands.iter().enumerate().skip(1) {
        if command.args[0].kind.is_constant() {
            return Err(format!("non executable command in pipeline stage {}", stage + 1));
        }
    }
    Ok(())
}

fn number(text: String) -> Parsed<ArgKind> {
    let lower = text.to_ascii_lowercase().replace('_', "");
    let (negative, digits) = match lower.as_bytes()[0] {
        b'-' => (true, &lower[1..]),
        b'+' => (false, &lower[1..]),
        _ => (false, &lower[..]),
    };
    let parsed = match digits.as_bytes() {
        [b'0', b'x', ..] => i128::from_str_radix(&digits[2..], 16).ok(),
        [b'0', b'o', ..] => i128::from_str_radix(&digits[2..], 8).ok(),
        [b'0', b'b', ..] => i128::from_str_radix(&digits[2..], 2).ok(),
        [b'0', _, ..] if !digits.contains(['.', 'e']) => i128::from_str_radix(&digits[1..], 8).ok(),
        _ => digits.parse().ok(),
    };
    let signed = parsed.map(|value: i128| if negative { -value } else { value });
    if let Some(value) = signed {
        return match i64::try_from(value) {
            Ok(value) => Ok(ArgKind::Int(value, text)),
            Err(_) => Err(format!("integer overflow: {}", quote(&text))),
        };
    }
    match lower.parse::<f64>() {
        Ok(value) => Ok(ArgKind::Float(value, text)),
        Err(_) => Err(format!("bad number syntax: {}", quote(&text))),
    }
}

/// The text of a Go string or character literal.
fn unquote(literal: &str) -> Option<String> {
    let inner = literal.get(1..literal.len() - 1)?;
    if literal.starts_with('`') {
        return Some(inner.replace('\r', ""));
    }
    let mut out = Vec::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = chars.next()?;
        let simple = match escape {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            '\'' | '"' if literal.starts_with(escape) => escape as u8,
            'x' => u8::try_from(digits(&mut chars, 2, 16)?).ok()?,
            '0'..='7' => {
                let first = escape.to_digit(8)?;
                u8::try_from(first * 64 + digits(&mut chars, 2, 8)?).ok()?
            }
            'u' | 'U' => {
                let code = digits(&mut chars, if escape == 'u' { 4 } else { 8 }, 16)?;
                out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return None,
        };
        out.push(simple);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, base: u32) -> Option<u32> {
    let mut value = 0;
    for _ in 0..count {
        value = value * base + chars.next()?.to_digit(base)?;
    }
    Some(value)
}

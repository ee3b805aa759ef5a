//! Template text to tokens.

use crate::printf::quote;

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Error,
    Eof,
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Assign,
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    Char,
    Bool,
    Number,
    CharConstant,
    Str,
    RawStr,
    Dot,
    Nil,
    Field,
    Variable,
    Identifier,
    Keyword,
}

/// A piece of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) pos: usize,
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Token {
    /// The token as error messages show it.
    pub(crate) fn shown(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Keyword | Kind::Dot | Kind::Nil => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                format!("{}...", quote(&self.text.chars().take(10).collect::<String>()))
            }
            _ => quote(&self.text),
        }
    }
}

/// Cuts `source` into tokens, of which the last is `Eof` or `Error`.
pub(crate) fn lex(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { source, pos: 0, line: 1, depth: 0, tokens: Vec::new() };
    if let Err(text) = lexer.run() {
        let (pos, line) = (lexer.pos, lexer.line);
        lexer.tokens.push(Token { kind: Kind::Error, pos, line, text });
    }
    lexer.tokens
}

const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

struct Lexer<'a> {
    source: &'a str,
    pos: usize,
    line: usize,
    depth: i32,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes `len` bytes as a token.
    fn emit(&mut self, kind: Kind, len: usize) {
        let text = self.rest()[..len].to_owned();
        self.tokens.push(Token { kind, pos: self.pos, line: self.line, text });
        self.skip(len);
    }

    fn skip(&mut self, len: usize) {
        self.line += self.rest()[..len].matches('\n').count();
        self.pos += len;
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            let Some(found) = self.rest().find("{{") else {
                let len = self.rest().len();
                if len > 0 {
                    self.emit(Kind::Text, len);
                }
                self.emit(Kind::Eof, 0);
                return Ok(());
            };
            let after = &self.rest()[found + 2..];
            let trim = trims_left(after);
            let text = &self.rest()[..found];
            let kept = if trim { text.trim_end_matches(BLANKS).len() } else { found };
            if kept > 0 {
                self.emit(Kind::Text, kept);
            }
            self.skip(found - kept);
            let marker = if trim { 2 } else { 0 };
            if self.rest()[2 + marker..].starts_with("/*") {
                self.comment(2 + marker)?;
                continue;
            }
            self.emit(Kind::LeftDelim, 2);
            self.skip(marker);
            self.depth = 0;
            self.action()?;
        }
    }

    fn comment(&mut self, start: usize) -> Result<(), String> {
        self.skip(start);
        let end = self.rest().find("*/").ok_or("unclosed comment")?;
        self.skip(end + 2);
        match self.right_delim() {
            Some((len, trim)) => self.close(len, trim),
            None => return Err("comment ends before closing delimiter".to_owned()),
        }
        Ok(())
    }

    /// The length of the closing delimiter here, and whether it trims what follows.
    fn right_delim(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with(BLANKS) && rest[1..].starts_with("-}}") {
            return Some((4, true));
        }
        rest.starts_with("}}").then_some((2, false))
    }

    fn close(&mut self, len: usize, trim: bool) {
        self.skip(len);
        if trim {
            let blanks = self.rest().len() - self.rest().trim_start_matches(BLANKS).len();
            self.skip(blanks);
        }
    }

    fn action(&mut self) -> Result<(), String> {
        loop {
            if let Some((len, trim)) = self.right_delim() {
                if self.depth > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.skip(len - 2);
                self.emit(Kind::RightDelim, 2);
                self.close(0, trim);
                return Ok(());
            }
            let Some(c) = self.peek() else { return Err("unclosed action".to_owned()) };
            self.token(c)?;
        }
    }

    fn token(&mut self, c: char) -> Result<(), String> {
        let next = self.rest()[c.len_utf8()..].chars().next();
        match c {
            c if BLANKS.contains(&c) => self.space(),
            '=' => self.emit(Kind::Assign, 1),
            ':' if next == Some('=') => self.emit(Kind::Declare, 2),
            ':' => return Err("expected :=".to_owned()),
            '|' => self.emit(Kind::Pipe, 1),
            '"' => self.quoted('"', Kind::Str, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant")?,
            '`' => {
                let end = self.rest()[1..].find('`').ok_or("unterminated raw quoted string")?;
                self.emit(Kind::RawStr, end + 2);
            }
            '$' => self.name(1, Kind::Variable)?,
            '.' if next.is_some_and(|n| !n.is_ascii_digit()) => {
                if self.ends_name(1) {
                    self.emit(Kind::Dot, 1)
                } else {
                    self.name(1, Kind::Field)?
                }
            }
            '.' | '+' | '-' | '0'..='9' => self.number()?,
            c if c == '_' || c.is_alphanumeric() => self.word()?,
            '(' => {
                self.emit(Kind::LeftParen, 1);
                self.depth += 1;
            }
            ')' => {
                self.depth -= 1;
                if self.depth < 0 {
                    return Err("unexpected right paren".to_owned());
                }
                self.emit(Kind::RightParen, 1);
            }
            c if c.is_ascii() && !c.is_ascii_control() => self.emit(Kind::Char, 1),
            c => return Err(format!("unrecognized character in action: {}", unicode(c))),
        }
        Ok(())
    }

    fn space(&mut self) {
        let mut len = self.rest().len() - self.rest().trim_start_matches(BLANKS).len();
        // The last blank belongs to a trim marker.
        if self.rest()[len - 1..].starts_with([' ', '\t', '\r', '\n'])
            && self.rest()[len..].starts_with("-}}")
        {
            len -= 1;
        }
        if len > 0 {
            self.emit(Kind::Space, len);
        }
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), String> {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    self.emit(kind, at + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(unterminated.to_owned())
    }

    /// True if no name goes on at `offset`.
    fn ends_name(&self, offset: usize) -> bool {
        let rest = &self.rest()[offset..];
        match rest.chars().next() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => BLANKS.contains(&c) || rest.starts_with("}}"),
        }
    }

    fn name_end(&self, start: usize) -> usize {
        let rest = &self.rest()[start..];
        start + rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len())
    }

    fn name(&mut self, start: usize, kind: Kind) -> Result<(), String> {
        let end = self.name_end(start);
        if !self.ends_name(end) {
            return Err(format!("bad character {}", self.character(end)));
        }
        self.emit(kind, end);
        Ok(())
    }

    fn character(&self, offset: usize) -> String {
        self.rest()[offset..].chars().next().map(unicode).unwrap_or_default()
    }

    fn word(&mut self) -> Result<(), String> {
        let end = self.name_end(0);
        if !self.ends_name(end) {
            return Err(format!("bad character {}", self.character(end)));
        }
        let kind = match &self.rest()[..end] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.emit(kind, end);
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let bytes = self.rest().as_bytes();
        let mut len = usize::from(matches!(bytes[0], b'+' | b'-'));
        let lower = |i: usize| bytes.get(i).map(u8::to_ascii_lowercase);
        let (digits, exponent): (&[u8], u8) = match (lower(len), lower(len + 1)) {
            (Some(b'0'), Some(b'x')) => (b"0123456789abcdef_", b'p'),
            (Some(b'0'), Some(b'o')) => (b"01234567_", 0),
            (Some(b'0'), Some(b'b')) => (b"01_", 0),
            _ => (b"0123456789_", b'e'),
        };
        if digits.len() != 11 {
            len += 2;
        }
        let run = |mut at: usize| {
            while lower(at).is_some_and(|b| digits.contains(&b)) {
                at += 1;
            }
            at
        };
        len = run(len);
        if bytes.get(len) == Some(&b'.') {
            len = run(len + 1);
        }
        if exponent != 0 && lower(len) == Some(exponent) {
            len += 1 + usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
            while bytes.get(len).is_some_and(|b| b.is_ascii_digit() || *b == b'_') {
                len += 1;
            }
        }
        let text = &self.rest()[..len];
        if let Some(c) = self.rest()[len..].chars().next().filter(|c| *c == '_' || c.is_alphanumeric()) {
            return Err(format!("bad number syntax: {}", quote(&format!("{text}{c}"))));
        }
        self.emit(Kind::Number, len);
        Ok(())
    }
}

fn trims_left(after: &str) -> bool {
    after.starts_with('-') && after[1..].starts_with(BLANKS)
}

/// `U+0040 '@'`.
fn unicode(c: char) -> String {
    if c.is_control() { format!("U+{:04X}", c as u32) } else { format!("U+{:04X} '{c}'", c as u32) }
}

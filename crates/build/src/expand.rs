//! Variables in the words of instructions: quotes, escapes and every form of substitution.
//!
//! Follows the shell where the Dockerfile reference does: `$v`, `${v}`, `${v:-w}`, `${v-w}`, `${v:+w}`, `${v+w}`,
//! `${v:?w}`, `${v?w}`, `${v#p}`, `${v##p}`, `${v%p}`, `${v%%p}`, `${v/p/r}`, `${v//p/r}`.

mod pattern;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeSet;

use pattern::Pattern;

/// Longest result of an expansion in bytes: what a hostile file could grow by doubling a variable again and again.
pub const LONGEST: usize = 1 << 20;

/// Deepest nesting of `${a:-${b:-…}}`.
const DEEPEST: usize = 64;

/// Where values of variables come from.
pub trait Variables {
    /// The value, `None` if it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

/// No variables at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

/// How text is read.
#[derive(Debug, Clone, Copy)]
pub struct Lexer {
    /// The character that takes the meaning from the next one: `\`, or a backtick.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escape characters stay in the result.
    pub raw_escapes: bool,
    /// Quotes are characters like any other, as in here-documents.
    pub skip_quotes: bool,
    /// What refers to a variable that is not set stays as it is.
    pub skip_unset: bool,
}

impl Lexer {
    /// One that removes quotes and escapes.
    pub fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, skip_quotes: false, skip_unset: false }
    }

    /// Expands `text`.
    ///
    /// # Errors
    /// If a quote or brace is not closed, a form is unknown, a required variable is missing, or the result is too long.
    pub fn expand(&self, text: &str, variables: &dyn Variables) -> Result<Expanded, ExpandError> {
        let mut run = Run {
            lexer: self,
            variables,
            chars: text.chars().collect(),
            pos: 0,
            depth: 0,
            matched: BTreeSet::new(),
            unmatched: BTreeSet::new(),
        };
        let (text_out, words) = run
            .until(None, self.raw_escapes)
            .map_err(|message| ExpandError { text: shorten(text), message })?;
        Ok(Expanded { text: text_out, words, matched: run.matched, unmatched: run.unmatched })
    }
}

/// What an expansion gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The result as one word.
    pub text: String,
    /// The result split at blanks that are not quoted.
    pub words: Vec<String>,
    /// Variables that were set.
    pub matched: BTreeSet<String>,
    /// Variables that were not.
    pub unmatched: BTreeSet<String>,
}

/// Text that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {message}", crate::quote::go(.text))]
pub struct ExpandError {
    text: String,
    message: String,
}

/// Error messages quote the text: not a megabyte of it.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(256) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Words of a result as they come together.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
    open: bool,
}

impl Words {
    fn plain(&mut self, text: &str) {
        for c in text.chars() {
            if !c.is_whitespace() {
                self.word.push(c);
                self.open = true;
            } else if self.open && !self.word.is_empty() {
                self.done.push(std::mem::take(&mut self.word));
                self.open = false;
            }
        }
    }

    fn quoted(&mut self, text: &str) {
        self.word.push_str(text);
        self.open = true;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

struct Run<'a> {
    lexer: &'a Lexer,
    variables: &'a dyn Variables,
    chars: Vec<char>,
    pos: usize,
    depth: usize,
    matched: BTreeSet<String>,
    unmatched: BTreeSet<String>,
}

type Res<T> = Result<T, String>;

impl Run<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.pos).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.pos += usize::from(c.is_some());
        c
    }

    /// Reads up to `stop`, which is consumed, or to the end if there is none.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Res<(String, Vec<String>)> {
        if self.depth >= DEEPEST {
            return Err(format!("substitutions are nested deeper than {DEEPEST}"));
        }
        self.depth += 1;
        let (mut out, mut words) = (String::new(), Words::default());
        loop {
            let Some(c) = self.peek() else {
                if let Some(stop) = stop {
                    return Err(format!("unexpected end of statement while looking for matching {stop}"));
                }
                break;
            };
            if Some(c) == stop {
                self.pos += 1;
                break;
            }
            match c {
                '$' => {
                    let value = self.dollar(raw_escapes)?;
                    out.push_str(&value);
                    words.plain(&value);
                }
                '\'' if !self.lexer.skip_quotes => {
                    let text = self.single_quoted()?;
                    out.push_str(&text);
                    words.quoted(&text);
                }
                '"' if !self.lexer.skip_quotes => {
                    let text = self.double_quoted(raw_escapes)?;
                    out.push_str(&text);
                    words.quoted(&text);
                }
                c if c == self.lexer.escape => {
                    self.pos += 1;
                    let mut text = String::new();
                    text.extend(raw_escapes.then_some(c));
                    text.extend(self.next());
                    out.push_str(&text);
                    if !text.is_empty() {
                        words.quoted(&text);
                    }
                }
                c => {
                    self.pos += 1;
                    out.push(c);
                    words.plain(c.encode_utf8(&mut [0; 4]));
                }
            }
            if out.len() > LONGEST {
                return Err(format!("the result is longer than {LONGEST} bytes"));
            }
        }
        self.depth -= 1;
        Ok((out, words.finish()))
    }

    fn single_quoted(&mut self) -> Res<String> {
        let mut out = String::new();
        self.pos += 1;
        out.extend(self.lexer.raw_quotes.then_some('\''));
        loop {
            match self.next() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching single-quote".to_owned()
                    );
                }
                Some('\'') => break,
                Some(c) => out.push(c),
            }
        }
        out.extend(self.lexer.raw_quotes.then_some('\''));
        Ok(out)
    }

    fn double_quoted(&mut self, raw_escapes: bool) -> Res<String> {
        let mut out = String::new();
        self.pos += 1;
        out.extend(self.lexer.raw_quotes.then_some('"'));
        loop {
            match self.peek() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching double-quote".to_owned()
                    );
                }
                Some('"') => break,
                Some('$') => out.push_str(&self.dollar(raw_escapes)?),
                Some(c) if c == self.lexer.escape => {
                    self.pos += 1;
                    out.extend(raw_escapes.then_some(c));
                    match self.peek() {
                        None => {}
                        // All other escapes are left as they are, as the shell does it.
                        Some(next) if next == '"' || next == '$' || next == self.lexer.escape => {
                            self.pos += 1;
                            out.push(next);
                        }
                        Some(_) => out.push(c),
                    }
                }
                Some(c) => {
                    self.pos += 1;
                    out.push(c);
                }
            }
            if out.len() > LONGEST {
                return Err(format!("the result is longer than {LONGEST} bytes"));
            }
        }
        self.pos += 1;
        out.extend(self.lexer.raw_quotes.then_some('"'));
        Ok(out)
    }

    /// Letters, digits and underscores; or digits alone; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let start = self.pos;
        match self.peek() {
            Some(c) if c.is_numeric() => {
                while self.peek().is_some_and(char::is_numeric) {
                    self.pos += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.pos += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.pos += 1;
                }
            }
        }
        self.chars[start..self.pos].iter().collect()
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name).map(str::to_owned);
        let seen = if value.is_some() { &mut self.matched } else { &mut self.unmatched };
        seen.insert(name.to_owned());
        value
    }

    fn dollar(&mut self, raw_escapes: bool) -> Res<String> {
        self.pos += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value(&name) {
                None if self.lexer.skip_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.pos += 1;
        match self.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            _ => {}
        }
        let name = self.name();
        match self.next() {
            Some('}') => Ok(match self.value(&name) {
                None if self.lexer.skip_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => {
                let modifier = self.next();
                self.modified(&name, modifier, true, raw_escapes)
            }
            Some(c @ ('+' | '-' | '?' | '#' | '%')) => self.modified(&name, Some(c), false, raw_escapes),
            Some('/') => self.replaced(&name),
            // compat: what is missing at the end is shown as Go shows the rune -1.
            c => Err(format!("unsupported modifier ({}) in substitution", c.unwrap_or('\u{fffd}'))),
        }
    }

    /// The rest of `${name:-word}` and its kin, from the word on. `colon`: empty counts as not set.
    fn modified(&mut self, name: &str, modifier: Option<char>, colon: bool, _raw: bool) -> Res<String> {
        let c = modifier.unwrap_or('\u{fffd}');
        let is_pattern = matches!(c, '#' | '%');
        let end = |run: &Self, e: String| match run.peek() {
            None if !e.contains("nested") => "syntax error: missing '}'".to_owned(),
            _ => e,
        };
        let word = match self.until(Some('}'), is_pattern) {
            Ok((word, _)) => word,
            Err(e) => return Err(end(self, e)),
        };
        let value = self.value(name);
        let shown = if colon { format!(":{c}") } else { c.to_string() };
        if self.lexer.skip_unset && value.is_none() {
            return Ok(format!("${{{name}{shown}{word}}}"));
        }
        let given = value.as_deref().filter(|v| !(colon && v.is_empty()));
        match c {
            '-' => Ok(given.map_or(word, str::to_owned)),
            '+' => Ok(given.map_or(String::new(), |_| word)),
            '?' => given.map(str::to_owned).ok_or_else(|| {
                let state = if value.is_some() { "empty" } else { "unset" };
                let reason = if word.is_empty() { format!("is not allowed to be {state}") } else { word };
                format!("{name}: {reason}")
            }),
            '#' | '%' => {
                let longest = word.starts_with(c);
                let text = if longest { &word[1..] } else { &word };
                let pattern = Pattern::parse(text)
                    .map_err(|e| format!("invalid pattern ({text}) in substitution: {e}"))?;
                let value = value.unwrap_or_default();
                Ok(if c == '#' {
                    pattern.trim_start(&value, longest)
                } else {
                    pattern.trim_end(&value, longest)
                })
            }
            _ => Err(format!("unsupported modifier ({shown}) in substitution")),
        }
    }

    /// The rest of `${name/pattern/text}`, from the pattern on.
    fn replaced(&mut self, name: &str) -> Res<String> {
        let all = self.peek() == Some('/');
        self.pos += usize::from(all);
        let at_end = |run: &Self, e: String, what: &str| match run.peek() {
            None if !e.contains("nested") => format!("syntax error: missing {what}"),
            _ => e,
        };
        let text = match self.until(Some('/'), true) {
            Ok((text, _)) => text,
            Err(e) => return Err(at_end(self, e, "'/' in ${}")),
        };
        let replacement = match self.until(Some('}'), true) {
            Ok((text, _)) => text,
            Err(e) => return Err(at_end(self, e, "'}'")),
        };
        let value = self.value(name);
        if self.lexer.skip_unset && value.is_none() {
            let slash = if all { "//" } else { "/" };
            return Ok(format!("${{{name}{slash}{text}/{replacement}}}"));
        }
        let pattern =
            Pattern::parse(&text).map_err(|e| format!("invalid pattern ({text}) in substitution: {e}"))?;
        pattern.replace(&value.unwrap_or_default(), &replacement, all)
    }
}

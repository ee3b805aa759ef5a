//! Physical lines to logical ones: comments dropped, continuations joined, here-documents read.

use std::ops::RangeInclusive;

use super::directives::{Directives, Head};
use super::heredoc::{self, Heredoc};
use super::{LONGEST_TEXT, MOST_INSTRUCTIONS, ParseError, split};

/// Longest physical line in bytes, as in Docker.
const LONGEST_LINE: usize = 65535;

/// An instruction before it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it stands.
    pub(super) lines: RangeInclusive<usize>,
    /// Its text, joined.
    pub(super) text: String,
    /// Comment lines right before it.
    pub(super) comments: Vec<String>,
    /// Its here-documents.
    pub(super) heredocs: Vec<Heredoc>,
}

/// All of a file.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) directives: Directives,
    pub(super) lines: Vec<Line>,
    pub(super) empty_continuations: Vec<usize>,
}

/// Cuts a text into logical lines.
pub(super) fn read(text: &str) -> Result<Lines, ParseError> {
    if text.len() > LONGEST_TEXT {
        return Err(ParseError::whole(format!("the Dockerfile is longer than {LONGEST_TEXT} bytes")));
    }
    let mut reader =
        Reader { rest: text.split_inclusive('\n'), number: 0, head: Head::default(), out: Lines::default() };
    while reader.instruction()? {}
    if reader.out.lines.is_empty() {
        return Err(ParseError::whole("file with no instructions"));
    }
    reader.out.directives = reader.head.directives;
    Ok(reader.out)
}

struct Reader<'a> {
    rest: std::str::SplitInclusive<'a, char>,
    number: usize,
    head: Head,
    out: Lines,
}

impl<'a> Reader<'a> {
    /// The next physical line with its line end.
    fn line(&mut self) -> Result<Option<&'a str>, ParseError> {
        let Some(line) = self.rest.next() else { return Ok(None) };
        if line.len() > LONGEST_LINE {
            return Err(ParseError::at(
                format!("dockerfile line greater than max allowed size of {LONGEST_LINE}"),
                self.number..=self.number,
            ));
        }
        self.number += 1;
        Ok(Some(line))
    }

    /// Reads one instruction with what comes before and belongs to it; `false` at the end.
    fn instruction(&mut self) -> Result<bool, ParseError> {
        let mut comments = Vec::new();
        loop {
            let Some(raw) = self.line()? else { return Ok(false) };
            let line = trim_end(raw).trim_start();
            let number = self.number;
            let directive = self.head.line(line).map_err(|e| ParseError::at(e, number..=number))?;
            if let Some(comment) = line.strip_prefix('#') {
                match comment.trim() {
                    "" => comments.clear(),
                    text if !directive => comments.push(text.to_owned()),
                    _ => {}
                }
            } else if line.is_empty() {
                comments.clear();
            } else {
                return self.rest_of(line, comments).map(|()| true);
            }
        }
    }

    fn rest_of(&mut self, first: &str, comments: Vec<String>) -> Result<(), ParseError> {
        let start = self.number;
        let escape = self.head.directives.escape;
        let (text, mut open) = continued(first, escape);
        let mut text = text.to_owned();
        let mut has_empty = false;
        while open {
            let Some(raw) = self.line()? else { break };
            let line = trim_end(raw);
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                has_empty = true;
                continue;
            }
            let (part, more) = continued(line, escape);
            text.push_str(part);
            open = more;
        }
        if has_empty {
            self.out.empty_continuations.push(self.number);
        }
        let mut heredocs = Vec::new();
        if text.contains("<<") && split::takes_heredocs(&text) {
            for heredoc in heredoc::announced(&text) {
                heredocs.push(self.heredoc(heredoc, start)?);
            }
        }
        if self.out.lines.len() >= MOST_INSTRUCTIONS {
            return Err(ParseError::at(format!("more than {MOST_INSTRUCTIONS} instructions"), start..=start));
        }
        self.out.lines.push(Line { lines: start..=self.number, text, comments, heredocs });
        Ok(())
    }

    fn heredoc(&mut self, mut heredoc: Heredoc, start: usize) -> Result<Heredoc, ParseError> {
        loop {
            let Some(raw) = self.line()? else {
                return Err(ParseError::at("unterminated heredoc", start..=self.number));
            };
            let line = trim_end(raw);
            let line = if heredoc.strip_tabs { line.trim_start_matches('\t') } else { line };
            if line == heredoc.name {
                return Ok(heredoc);
            }
            heredoc.content.push_str(raw);
        }
    }
}

fn trim_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// The line without its continuation character, and whether it has one. Two in a row are none.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

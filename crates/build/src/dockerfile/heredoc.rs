//! Here-documents: `<<EOF`, `<<-EOF`, `<<"EOF"`, `3<<EOF`.

use crate::expand::{Lexer, NoVariables};

/// A here-document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// Its lines, as written.
    pub content: String,
    /// Whether variables in it are expanded: its word is not quoted.
    pub expand: bool,
    /// Whether leading tabs are removed: `<<-`.
    pub strip_tabs: bool,
}

impl Heredoc {
    /// The content as a command or file gets it.
    pub fn text(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Reads a word as the announcement of a here-document.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
        let (strip_tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let lexer = Lexer { skip_unset: true, ..Lexer::new('\\') };
        let plain = lexer.expand(rest, &NoVariables).ok()?;
        let quoted = Lexer { raw_quotes: true, ..lexer }.expand(rest, &NoVariables).ok()?;
        let ([name], [raw]) = (&plain.words[..], &quoted.words[..]) else { return None };
        let expand = name == raw;
        Some(Self { name: name.clone(), content: String::new(), expand, strip_tabs })
    }
}

/// The here-documents that a line announces, in order; their content follows it.
pub(super) fn announced(line: &str) -> Vec<Heredoc> {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, skip_unset: true, ..Lexer::new('\\') };
    let Ok(expanded) = lexer.expand(line, &NoVariables) else { return Vec::new() };
    expanded.words.iter().filter_map(|word| Heredoc::parse(word)).collect()
}

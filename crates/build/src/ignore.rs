//! `.dockerignore` and `--exclude`: which paths are left out.
//!
//! The last pattern that matches a path decides. One that matches a folder matches all below it. `**` stands for any
//! number of folders; the rest is [`crate::glob`]'s. `!` brings back what an earlier pattern left out.

use crate::glob::{self, Glob};

/// The patterns of an ignore file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    patterns: Vec<Pattern>,
    brings_back: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    parts: Vec<Part>,
    back: bool,
}

/// What stands between two `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`.
    Folders,
    /// A name without wildcards.
    Name(String),
    /// A pattern of names.
    Glob(Glob),
}

impl Part {
    fn takes(&self, name: &str) -> bool {
        match self {
            Self::Folders => true,
            Self::Name(own) => own == name,
            Self::Glob(glob) => glob.matches(name),
        }
    }
}

/// The patterns in the text of an ignore file, as they stand there.
pub fn patterns(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty())
}

impl Matcher {
    /// Reads the text of an ignore file.
    ///
    /// # Errors
    /// In Docker's words, if a pattern is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::new(patterns(text))
    }

    /// Reads patterns one by one.
    ///
    /// # Errors
    /// In Docker's words, if one is malformed.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Self, String> {
        let mut matcher = Self::default();
        for text in patterns {
            let (back, body) = match text.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, text.trim()),
            };
            if back && body.is_empty() {
                return Err("illegal exclusion pattern: \"!\"".to_owned());
            }
            let Some(parts) = parts(body).map_err(|e| format!("{text}: {e}"))? else { continue };
            matcher.brings_back |= back;
            matcher.patterns.push(Pattern { parts, back });
        }
        Ok(matcher)
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a path, `/`-separated and without a leading one, is left out.
    pub fn excluded(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        let matching = self.patterns.iter().rev().find(|pattern| takes(&pattern.parts, &names));
        !names.is_empty() && matching.is_some_and(|pattern| !pattern.back)
    }

    /// Whether a folder is left out and nothing below it can be brought back, so that it need not be looked into.
    pub fn skips_folder(&self, path: &str) -> bool {
        if !self.excluded(path) {
            return false;
        }
        if !self.brings_back {
            return true;
        }
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        !self.patterns.iter().any(|pattern| pattern.back && reaches_below(&pattern.parts, &names))
    }
}

/// A pattern as parts; none if it stands for the root itself.
fn parts(text: &str) -> Result<Option<Vec<Part>>, glob::BadPattern> {
    let mut out: Vec<Part> = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            // Above the root is the root.
            ".." => {
                out.pop();
            }
            "**" if out.last() == Some(&Part::Folders) => {}
            "**" => out.push(Part::Folders),
            // compat: `**x` is `**/x`.
            name if name.starts_with("**") => {
                if out.last() != Some(&Part::Folders) {
                    out.push(Part::Folders);
                }
                out.push(Part::Glob(glob::parse(name.trim_start_matches('*'))?));
            }
            name if glob::has_wildcards(name) => out.push(Part::Glob(glob::parse(name)?)),
            name => out.push(Part::Name(name.to_owned())),
        }
    }
    Ok(if out.is_empty() { None } else { Some(out) })
}

/// Places in `parts` after all `names` were taken; whether the whole pattern matched one of the paths on the way.
fn walk(parts: &[Part], names: &[&str]) -> (Vec<bool>, bool) {
    let mut at = vec![false; parts.len() + 1];
    at[0] = true;
    skip_folders(parts, &mut at);
    for name in names {
        let mut next = vec![false; parts.len() + 1];
        for (i, part) in parts.iter().enumerate().filter(|(i, _)| at[*i]) {
            if *part == Part::Folders {
                next[i] = true;
            } else if part.takes(name) {
                next[i + 1] = true;
            }
        }
        // A pattern that ends in `**` takes something below, not the folder itself.
        if parts.last() == Some(&Part::Folders) && at[parts.len() - 1] {
            return (next, true);
        }
        skip_folders(parts, &mut next);
        at = next;
        if parts.last() != Some(&Part::Folders) && at[parts.len()] {
            return (at, true);
        }
    }
    (at, false)
}

/// `**` may stand for no folder at all.
fn skip_folders(parts: &[Part], at: &mut [bool]) {
    for (i, part) in parts.iter().enumerate() {
        if at[i] && *part == Part::Folders {
            at[i + 1] = true;
        }
    }
}

/// Whether a path or a folder above it matches.
fn takes(parts: &[Part], names: &[&str]) -> bool {
    walk(parts, names).1
}

/// Whether something below a folder can match.
fn reaches_below(parts: &[Part], names: &[&str]) -> bool {
    let (at, matched) = walk(parts, names);
    matched || at.contains(&true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(patterns: &str, out: &[&str], kept: &[&str]) {
        let matcher = Matcher::parse(patterns).unwrap();
        for path in out {
            assert!(matcher.excluded(path), "{path} is left out");
        }
        for path in kept {
            assert!(!matcher.excluded(path), "{path} stays");
        }
    }

    #[test]
    fn dockers_rules() {
        check(
            "# c\n\n*.log\n**/y.log\n!a/x.log\n",
            &["drop.log", "a/b/y.log", "y.log"],
            &["a/x.log", "a/b/z", "# c"],
        );
        check("/a/\n./b/../c\n", &["a", "a/x/y", "c"], &["b", "x/a"]);
        check("*\n!keep", &["x", "x/keep"], &["keep", "keep/below"]);
        check("**", &["a", "a/b"], &[]);
        check("a/**", &["a/b", "a/b/c"], &["a", "b"]);
        check("**/b/**", &["b/c", "a/b/c"], &["b", "a/b"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b/z"], &["a/x", "x/a/b"]);
        check("**.go", &["a/.go"], &["a.go"]);
        check("d\n!d/keep\nd/keep/not", &["d/x", "d/keep/not"], &["d/keep", "d/keep/yes"]);
        check("a b\\*", &["a b*"], &["a b", "a bc"]);
        check("\u{feff}x\r\ny\r\n", &["x", "y"], &[]);
        check("#x\n #y", &["#y"], &["#x"]);
        check("/\n.\n..", &[], &["a"]);
        assert_eq!(Matcher::parse("!").unwrap_err(), "illegal exclusion pattern: \"!\"");
        assert_eq!(Matcher::parse("[").unwrap_err(), "[: syntax error in pattern");
    }

    #[test]
    fn folders_are_skipped_when_nothing_comes_back() {
        let skips = |patterns: &str, path: &str| Matcher::parse(patterns).unwrap().skips_folder(path);
        assert!(skips("d", "d") && skips("d", "d/e"));
        assert!(!skips("d\n!d/x", "d") && !skips("d\n!d/x/*", "d/x"));
        assert!(skips("d\n!e", "d") && skips("*\n!e/f", "d"));
        assert!(!skips("*\n!**/keep", "d"));
        assert!(!skips("x", "d"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ab*?!/.\\[\\]\\\\#\n-]{0,40}", path in "[ab/.]{0,20}") {
            if let Ok(matcher) = Matcher::parse(&text) {
                // What can be skipped has nothing below it that stays.
                if matcher.skips_folder(&path) {
                    for below in ["a", "b", "a/b"] {
                        let below = format!("{path}/{below}");
                        prop_assert!(matcher.excluded(&below), "{:?} {}", text, below);
                    }
                }
            }
        }
    }
}

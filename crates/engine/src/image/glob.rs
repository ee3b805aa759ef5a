//! Shell patterns as Go's `path.Match` reads them: `*` and `?` stop at a slash.

/// Whether the whole of `text` matches `pattern`; `None` for a malformed pattern.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    if !well_formed(&pattern) {
        return None;
    }
    Some(match_here(&pattern, &text))
}

fn well_formed(mut pattern: &[char]) -> bool {
    while let [c, rest @ ..] = pattern {
        pattern = match c {
            '\\' if rest.is_empty() => return false,
            '\\' => &rest[1..],
            '[' => match class(rest) {
                Some((_, rest)) => rest,
                None => return false,
            },
            _ => rest,
        };
    }
    true
}

/// Iterative with one point of return: the last `*` that can still take more.
fn match_here(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (pattern, text);
    let mut last_star: Option<(&[char], &[char])> = None;
    loop {
        match (p, t) {
            (['*', rest @ ..], _) => {
                last_star = Some((rest, t));
                p = rest;
                continue;
            }
            ([], []) => return true,
            ([_, ..], [c, after @ ..]) => {
                if let Some((true, rest)) = match_one(p, *c) {
                    (p, t) = (rest, after);
                    continue;
                }
            }
            _ => {}
        }
        match last_star {
            Some((rest, [c, after @ ..])) if *c != '/' => {
                last_star = Some((rest, after));
                (p, t) = (rest, after);
            }
            _ => return false,
        }
    }
}

/// Matches one element of the pattern with one character; returns the rest of the pattern.
fn match_one(pattern: &[char], c: char) -> Option<(bool, &[char])> {
    Some(match pattern {
        ['?', rest @ ..] => (c != '/', rest),
        ['\\', escaped, rest @ ..] => (*escaped == c, rest),
        ['[', rest @ ..] => {
            let (set, rest) = class(rest)?;
            (set.contains(c), rest)
        }
        [literal, rest @ ..] => (*literal == c, rest),
        [] => return None,
    })
}

struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    fn contains(&self, c: char) -> bool {
        self.negated != self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c))
    }
}

/// Reads what follows a `[`.
fn class(mut pattern: &[char]) -> Option<(Class, &[char])> {
    let mut set = Class { negated: false, ranges: Vec::new() };
    if let ['^', rest @ ..] = pattern {
        set.negated = true;
        pattern = rest;
    }
    loop {
        if let [']', rest @ ..] = pattern
            && !set.ranges.is_empty()
        {
            return Some((set, rest));
        }
        let (low, rest) = class_char(pattern)?;
        let (high, rest) = match rest {
            ['-', rest @ ..] => class_char(rest)?,
            rest => (low, rest),
        };
        set.ranges.push((low, high));
        pattern = rest;
    }
}

fn class_char(pattern: &[char]) -> Option<(char, &[char])> {
    match pattern {
        [] | ['-' | ']', ..] | ['\\'] => None,
        ['\\', c, rest @ ..] | [c, rest @ ..] => Some((*c, rest)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*", "a/b", Some(false)),
            ("*/*", "a/b", Some(true)),
            ("a*c*e", "abcde", Some(true)),
            ("a*c*e", "abcd", Some(false)),
            ("ubuntu:*", "ubuntu:24.04", Some(true)),
            ("?", "/", Some(false)),
            ("[a-c]x", "bx", Some(true)),
            ("[^a-c]x", "bx", Some(false)),
            (r"\*", "*", Some(true)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("a[", "b", None),
            (r"a\", "a", None),
            ("", "", Some(true)),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_literals_match_themselves(pattern in "\\PC{0,20}", text in "[a-z/:.]{0,20}") {
            let _ = matches(&pattern, &text);
            prop_assert_eq!(matches(&text, &text), Some(true));
            prop_assert_eq!(matches("*****", &text), Some(!text.contains('/')));
        }
    }
}

//! Words of an instruction: splitting, quotes and variables.

use crate::{Error, Result};

/// Splits at blanks outside quotes; quotes and backslashes stay in the words.
pub(super) fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some('"') | None) => {
                word.push(c);
                word.extend(chars.next());
                continue;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `name=value …`, or the old `name value`, where the value is the rest of the line.
pub(super) fn name_values(instruction: &str, arguments: &str) -> Result<Vec<(String, String)>> {
    let words = split_words(arguments);
    let Some(first) = words.first() else {
        return Err(Error::invalid(format!("{instruction} requires at least one argument")));
    };
    if !first.contains('=') {
        let (name, value) = arguments
            .split_once(char::is_whitespace)
            .ok_or_else(|| Error::invalid(format!("{instruction} must have two arguments")))?;
        return Ok(vec![(name.to_owned(), value.trim_start().to_owned())]);
    }
    let split = |word: &String| match word.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Error::invalid(format!(
            "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
        ))),
    };
    words.iter().map(split).collect()
}

/// Removes quotes and puts in the values of variables, as the shell would.
pub(super) fn expand(text: &str, environment: &[String]) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    let mut in_double = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' if !in_double => {
                let end = rest.find('\'').ok_or_else(|| unmatched("single"))?;
                out.push_str(&rest[..end]);
                rest = &rest[end + 1..];
            }
            '"' => in_double = !in_double,
            '\\' => {
                let Some(next) = rest.chars().next() else {
                    out.push('\\');
                    break;
                };
                if in_double && !matches!(next, '"' | '$' | '\\') {
                    out.push('\\');
                }
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
            '$' => rest = variable(rest, environment, &mut out)?,
            c => out.push(c),
        }
    }
    if in_double { Err(unmatched("double")) } else { Ok(out) }
}

fn unmatched(kind: &str) -> Error {
    Error::invalid(format!("unexpected end of statement while looking for matching {kind}-quote"))
}

/// Expands what follows a `$`; returns the text after it.
fn variable<'a>(rest: &'a str, environment: &[String], out: &mut String) -> Result<&'a str> {
    let value = |name: &str| {
        environment
            .iter()
            .find_map(|line| line.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    };
    let name_length =
        |text: &str| text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let Some(inner) = rest.strip_prefix('{') else {
        let length = name_length(rest);
        if length == 0 {
            out.push('$');
        } else {
            out.push_str(value(&rest[..length]).unwrap_or_default());
        }
        return Ok(&rest[length..]);
    };
    let end = inner.find('}').ok_or_else(|| Error::invalid("syntax error: missing '}'"))?;
    let (body, after) = (&inner[..end], &inner[end + 1..]);
    let (name, modifier) = body.split_at(name_length(body));
    let present = value(name);
    let filled = present.filter(|value| !value.is_empty());
    let chosen = match modifier.split_at(modifier.find(['-', '+']).map_or(modifier.len(), |at| at + 1)) {
        ("", "") => present.unwrap_or_default(),
        (":-", word) => filled.unwrap_or(word),
        ("-", word) => present.unwrap_or(word),
        (":+", word) => filled.map_or("", |_| word),
        ("+", word) => present.map_or("", |_| word),
        _ => return Err(Error::invalid(format!("unsupported modifier ({modifier}) in substitution"))),
    };
    out.push_str(chosen);
    Ok(after)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn expansion() {
        let environment = ["A=1".to_owned(), "E=".to_owned()];
        for (text, expected) in [
            ("$A-${A}", "1-1"),
            ("${E:-w}${E-w}${N-w}", "ww"),
            ("${A:+s}${E:+s}${E+s}", "ss"),
            (r#""a $A" '$A' \$A "\$A\n""#, r"a 1 $A $A $A\n"),
            ("$ x$", "$ x$"),
        ] {
            assert_eq!(expand(text, &environment).unwrap(), expected, "{text}");
        }
        assert!(expand("${A", &[]).is_err() && expand("'x", &[]).is_err() && expand("${A?x}", &[]).is_err());
    }
}

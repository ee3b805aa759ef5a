//! A logical line to its keyword, flags and words.

use super::instruction::Pair;

const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Keyword and the rest of a line.
pub(super) fn keyword(line: &str) -> (&str, &str) {
    let line = line.trim();
    match line.split_once(BLANKS) {
        Some((keyword, rest)) => (keyword, rest.trim()),
        None => (line, ""),
    }
}

/// Whether an instruction can have here-documents; those in the exec form have none.
pub(super) fn takes_heredocs(line: &str) -> bool {
    let (keyword, rest) = self::keyword(line);
    match keyword.to_ascii_uppercase().as_str() {
        "ONBUILD" => {
            let nested = self::keyword(rest).0;
            matches!(nested.to_ascii_uppercase().as_str(), "RUN" | "COPY" | "ADD") && takes_heredocs(rest)
        }
        "RUN" | "COPY" | "ADD" => !matches!(json(flags(rest).1), Json::List(_)),
        _ => false,
    }
}

/// The `--flags` that a text begins with, and the rest.
pub(super) fn flags(text: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, end) = flag(rest);
        rest = rest[end..].trim_start();
        if word == "--" {
            break;
        }
        flags.push(word);
    }
    (flags, rest)
}

/// The first word without quotes, and where it ends.
fn flag(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => word.extend(chars.next().map(|(_, c)| c)),
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            c if quote.is_none() && c.is_whitespace() => return (word, at),
            c => word.push(c),
        }
    }
    (word, text.len())
}

/// What a text is when read as the exec form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// An array of strings.
    List(Vec<String>),
    /// An array with something else in it.
    OtherTypes,
    /// Not an array.
    None,
}

/// Reads the exec form.
pub(super) fn json(text: &str) -> Json {
    let text = text.trim();
    if !text.starts_with('[') {
        return Json::None;
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Json::None };
    let strings: Option<Vec<String>> = values
        .into_iter()
        .map(|value| if let serde_json::Value::String(s) = value { Some(s) } else { None })
        .collect();
    strings.map_or(Json::OtherTypes, Json::List)
}

/// Words separated by blanks.
pub(super) fn blanks(text: &str) -> Vec<String> {
    text.split(BLANKS).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Words separated by blanks that are neither quoted nor escaped. Quotes and escapes stay.
pub(super) fn words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if c == escape && quote != Some('\'') {
            // One at the very end escapes nothing.
            if let Some(next) = chars.next() {
                word.push(c);
                word.push(next);
            }
            continue;
        }
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `k=v …`, or the old form `k rest of the line`.
pub(super) fn pairs(text: &str, instruction: &str, escape: char) -> Result<Vec<Pair>, String> {
    let words = words(text, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        return match text.split_once(BLANKS) {
            Some((key, value)) => {
                let value = value.trim_start_matches(BLANKS).to_owned();
                Ok(vec![Pair { key: key.to_owned(), value, legacy: true }])
            }
            None => Err(format!("{instruction} must have two arguments")),
        };
    }
    let pair = |word: &String| match word.split_once('=') {
        Some((key, value)) => Ok(Pair { key: key.to_owned(), value: value.to_owned(), legacy: false }),
        None => Err(format!(
            "Syntax error - can't find = in {}. Must be of the form: name=value",
            crate::quote::go(word)
        )),
    };
    words.iter().map(pair).collect()
}

//! Text in quotes, as Go's `%q` writes it: Docker's messages and history have it so.

/// `text` in double quotes, with escapes.
pub fn go(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list of strings as `%q` writes it: `["a" "b"]`.
pub(crate) fn go_list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| go(item)).collect();
    format!("[{}]", quoted.join(" "))
}

/// A number as `%q` writes it: the character with that code.
pub(crate) fn go_char(number: i64) -> String {
    match u32::try_from(number).ok().and_then(char::from_u32) {
        Some('\'') => "'\\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        Some(c) => format!("'{}'", go(&c.to_string()).trim_matches('"')),
        None => "'\u{fffd}'".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_quotes() {
        assert_eq!(go("a\"b\\c\n\u{1}é"), "\"a\\\"b\\\\c\\n\\x01é\"");
        assert_eq!([0, 7, 50].map(go_char), ["'\\x00'", "'\\a'", "'2'"]);
        assert_eq!(go_list(&["a b".to_owned(), String::new()]), "[\"a b\" \"\"]");
    }
}

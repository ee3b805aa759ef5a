//! JSON as Go prints it, without reading it: what a digest is of keeps its order, numbers and escapes.

/// The same document with each value on a line of its own, `unit` for each level. What is not JSON comes out anyhow.
pub(super) fn indented(document: &[u8], unit: &str) -> String {
    let (mut out, mut depth) = (Vec::with_capacity(document.len() * 2), 0);
    let mut bytes = compact(document).into_iter().peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(unit.bytes().cycle().take(unit.len() * depth));
    };
    let mut text = Text::default();
    while let Some(byte) = bytes.next() {
        if text.holds(byte) {
            out.push(byte);
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                match bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    Some(close) => {
                        depth -= 1;
                        out.push(close);
                    }
                    None => line(&mut out, depth),
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The same document without the white space between its values.
pub(super) fn compact(document: &[u8]) -> Vec<u8> {
    let mut text = Text::default();
    document.iter().copied().filter(|byte| text.holds(*byte) || !byte.is_ascii_whitespace()).collect()
}

/// The same document with those characters escaped that Go escapes for browsers; they only stand in texts.
pub(super) fn escaped(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

/// Tells whether a reader is within a text.
#[derive(Default)]
struct Text {
    inside: bool,
    escape: bool,
}

impl Text {
    /// Takes the next byte; returns whether it belongs to a text, quotes included.
    fn holds(&mut self, byte: u8) -> bool {
        let inside = self.inside;
        match byte {
            _ if self.escape => self.escape = false,
            b'\\' if inside => self.escape = true,
            b'"' => self.inside = !inside,
            _ => {}
        }
        inside || self.inside
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_is_indented_stays_the_same_otherwise() {
        let document = br#" {"b":[1.50,{"x": "a, \"{b\" \u003c"}],"a":{ },"e":[ ], "n":null}
"#;
        expect![[r#"
            {
              "b": [
                1.50,
                {
                  "x": "a, \"{b\" \u003c"
                }
              ],
              "a": {},
              "e": [],
              "n": null
            }"#]]
        .assert_eq(&indented(document, "  "));
        assert_eq!(compact(document), br#"{"b":[1.50,{"x":"a, \"{b\" \u003c"}],"a":{},"e":[],"n":null}"#);
        assert_eq!(compact(indented(document, "\t").as_bytes()), compact(document));
    }

    #[test]
    fn characters_of_markup_are_escaped() {
        assert_eq!(escaped("{\"a\":\"<b>&\u{2028}ä\"}"), "{\"a\":\"\\u003cb\\u003e\\u0026\\u2028ä\"}");
    }
}

//! One log entry as the json-file driver writes it.

use std::collections::BTreeMap;

/// Appends `bytes` as the inside of a JSON string, escaped as Docker's log writer does it: like Go's encoder for HTML, but
/// `\t` and other control characters in hexadecimal, and every byte that is not UTF-8 as U+FFFD.
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        escape_text(chunk.valid(), out);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

/// Whether no byte needs an escape or a check. Without a branch per byte, so that it compiles to vector instructions.
fn is_plain(bytes: &[u8]) -> bool {
    let special = |b: u8| {
        !(0x20..0x80).contains(&b) | (b == b'"') | (b == b'\\') | (b == b'<') | (b == b'>') | (b == b'&')
    };
    let mut chunks = bytes.chunks_exact(32);
    for chunk in &mut chunks {
        if chunk.iter().fold(false, |any, b| any | special(*b)) {
            return false;
        }
    }
    !chunks.remainder().iter().fold(false, |any, b| any | special(*b))
}

fn escape_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, &b) in bytes.iter().enumerate() {
        let mut hex = [b'\\', b'u', b'0', b'0', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]];
        let escaped: &[u8] = match b {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            0..0x20 | b'<' | b'>' | b'&' => &hex,
            // U+2028 and U+2029 end a line in JavaScript.
            0xe2 => match bytes.get(i + 1..i + 3) {
                Some(&[0x80, last @ (0xa8 | 0xa9)]) => {
                    hex = *b"\\u2028";
                    hex[5] = HEX[usize::from(last & 15)];
                    &hex
                }
                _ => continue,
            },
            _ => continue,
        };
        out.extend_from_slice(&bytes[start..i]);
        out.extend_from_slice(escaped);
        start = i + if b == 0xe2 { 3 } else { 1 };
    }
    out.extend_from_slice(&bytes[start..]);
}

/// What stands in every entry of a stream between the text and the time.
pub(super) fn middle(stream: &str, attrs: &str) -> Vec<u8> {
    format!("\",\"stream\":\"{stream}\"{attrs},\"time\":\"").into_bytes()
}

/// `,"attrs":{…}` with sorted keys, or nothing when there are none.
pub(super) fn attrs(attrs: &BTreeMap<String, String>) -> String {
    if attrs.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = attrs.iter().map(|(k, v)| format!("{}:{}", quoted(k), quoted(v))).collect();
    format!(",\"attrs\":{{{}}}", pairs.join(","))
}

/// A string as Go's `json.Marshal` writes it.
fn quoted(text: &str) -> String {
    let mut out = vec![b'"'];
    escape(text.as_bytes(), &mut out);
    out.push(b'"');
    // compat: unlike the log writer, Go's encoder has short forms for these three.
    String::from_utf8_lossy(&out)
        .replace("\\u0008", "\\b")
        .replace("\\u000c", "\\f")
        .replace("\\u0009", "\\t")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(bytes: &[u8], expected: &Expect) {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        expected.assert_eq(&String::from_utf8_lossy(&out));
    }

    #[test]
    fn escapes() {
        check(b"plain text, 0-9 {}[]'/", &expect!["plain text, 0-9 {}[]'/"]);
        check(b"\"\\\n\r\t\x08\x0c\x00\x1f", &expect![[r#"\"\\\n\r\u0009\u0008\u000c\u0000\u001f"#]]);
        check(b"<a href=\"x\">&</a>", &expect![[r#"\u003ca href=\"x\"\u003e\u0026\u003c/a\u003e"#]]);
        check("grüße, 日本 🦀".as_bytes(), &expect!["grüße, 日本 🦀"]);
        check(
            "a\u{2027}b\u{2028}c\u{2029}d\u{202a}".as_bytes(),
            &expect![["a\u{2027}b\\u2028c\\u2029d\u{202a}"]],
        );
    }

    #[test]
    fn every_byte_that_is_no_utf8_is_replaced() {
        check(b"a\xffb", &expect![[r"a\ufffdb"]]);
        check(b"\xed\xa0\x80", &expect![[r"\ufffd\ufffd\ufffd"]]);
        check(b"\xe2\x82", &expect![[r"\ufffd\ufffd"]]);
        check(b"\xe2\x80x\xf0\x9f\xa6", &expect![[r"\ufffd\ufffdx\ufffd\ufffd\ufffd"]]);
        check(b"\xc0\xaf", &expect![[r"\ufffd\ufffd"]]);
    }

    #[test]
    fn a_special_byte_is_seen_at_every_position() {
        for length in 1..100 {
            for position in 0..length {
                let mut line = vec![b'x'; length];
                line[position] = b'<';
                assert!(!is_plain(&line), "{position} of {length}");
            }
            assert!(is_plain(&vec![b'~'; length]));
        }
    }

    proptest::proptest! {
        /// A JSON parser gets back what Go would have: each bad byte as one U+FFFD.
        #[test]
        fn entries_can_be_parsed(bytes: Vec<u8>) {
            let mut out = vec![b'"'];
            escape(&bytes, &mut out);
            out.push(b'"');
            let parsed: String = serde_json::from_slice(&out).map_err(|e| proptest::test_runner::TestCaseError::fail(e.to_string()))?;
            let mut expected = String::new();
            for chunk in bytes.utf8_chunks() {
                expected.push_str(chunk.valid());
                expected.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
            }
            proptest::prop_assert_eq!(parsed, expected);
            proptest::prop_assert!(!out[1..out.len() - 1].iter().any(|b| b"<>&\n".contains(b) || *b < 0x20));
        }
    }

    #[test]
    fn attributes_are_sorted_and_escaped() {
        let map = [("tag", "a\tb"), ("l", "<v>")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        expect![[r#","attrs":{"l":"\u003cv\u003e","tag":"a\tb"}"#]].assert_eq(&attrs(&map.into()));
        assert_eq!(attrs(&BTreeMap::new()), "");
    }
}

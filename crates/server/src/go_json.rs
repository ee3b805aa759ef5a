//! Go's words for text that is not JSON.
//!
//! serde finds the fault; this scanner, which follows `encoding/json`'s state machine, only says what Go would.

/// What Go's decoder says about the first value of `text`; `None` when Go finds nothing wrong with its syntax.
pub(crate) fn syntax_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { state: State::Value, open: Vec::new() };
    for &byte in text {
        match scanner.step(byte) {
            Ok(true) => return None,
            Ok(false) => {}
            Err(context) => return Some(format!("invalid character {} {context}", quote(byte))),
        }
    }
    scanner.unfinished().then(|| "unexpected EOF".to_owned())
}

/// Where the scanner is inside a value.
#[derive(Clone, Copy)]
enum State {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    AfterKey,
    AfterValue,
    String { key: bool },
    Escape { key: bool },
    Hex { key: bool, left: u8 },
    Literal { word: &'static str, at: usize },
    Minus,
    Zero,
    Integer,
    Dot,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

#[derive(Clone, Copy, PartialEq)]
enum Open {
    Object,
    Array,
}

struct Scanner {
    state: State,
    open: Vec<Open>,
}

impl Scanner {
    /// The text ended inside a value. A number at the top level may end with the text.
    fn unfinished(&self) -> bool {
        let number =
            matches!(self.state, State::Zero | State::Integer | State::Fraction | State::ExponentDigits);
        !(number && self.open.is_empty())
    }

    /// Takes one byte; `true` when the first value is complete.
    fn step(&mut self, byte: u8) -> Result<bool, String> {
        let space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.state {
            State::Value | State::ValueOrEnd | State::Key | State::KeyOrEnd | State::AfterKey if space => {}
            State::ValueOrEnd if byte == b']' => return Ok(self.close()),
            State::Value | State::ValueOrEnd => return self.begin(byte),
            State::KeyOrEnd if byte == b'}' => return Ok(self.close()),
            State::Key | State::KeyOrEnd => match byte {
                b'"' => self.state = State::String { key: true },
                _ => return Err("looking for beginning of object key string".to_owned()),
            },
            State::AfterKey => match byte {
                b':' => self.state = State::Value,
                _ => return Err("after object key".to_owned()),
            },
            State::AfterValue => return self.after_value(byte),
            State::String { .. } | State::Escape { .. } | State::Hex { .. } => return self.string(byte),
            State::Literal { word, at } => return self.literal(word, at, byte),
            _ => return self.number(byte),
        }
        Ok(false)
    }

    fn begin(&mut self, byte: u8) -> Result<bool, String> {
        self.state = match byte {
            b'{' => {
                self.open.push(Open::Object);
                State::KeyOrEnd
            }
            b'[' => {
                self.open.push(Open::Array);
                State::ValueOrEnd
            }
            b'"' => State::String { key: false },
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Integer,
            b't' => State::Literal { word: "true", at: 1 },
            b'f' => State::Literal { word: "false", at: 1 },
            b'n' => State::Literal { word: "null", at: 1 },
            _ => return Err("looking for beginning of value".to_owned()),
        };
        Ok(false)
    }

    fn close(&mut self) -> bool {
        self.open.pop();
        self.end_value()
    }

    fn end_value(&mut self) -> bool {
        self.state = State::AfterValue;
        self.open.is_empty()
    }

    fn after_value(&mut self, byte: u8) -> Result<bool, String> {
        match (self.open.last(), byte) {
            (None, _) => return Ok(true),
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Some(Open::Object), b',') => self.state = State::Key,
            (Some(Open::Array), b',') => self.state = State::Value,
            (Some(Open::Object), b'}') | (Some(Open::Array), b']') => return Ok(self.close()),
            (Some(Open::Object), _) => return Err("after object key:value pair".to_owned()),
            (Some(Open::Array), _) => return Err("after array element".to_owned()),
        }
        Ok(false)
    }

    fn string(&mut self, byte: u8) -> Result<bool, String> {
        self.state = match self.state {
            State::Escape { key } => match byte {
                b'u' => State::Hex { key, left: 4 },
                b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => State::String { key },
                _ => return Err("in string escape code".to_owned()),
            },
            State::Hex { key, left } if byte.is_ascii_hexdigit() => match left {
                1 => State::String { key },
                _ => State::Hex { key, left: left - 1 },
            },
            State::Hex { .. } => return Err("in \\u hexadecimal character escape".to_owned()),
            State::String { key } => match byte {
                b'"' if key => State::AfterKey,
                b'"' => return Ok(self.end_value()),
                b'\\' => State::Escape { key },
                0..0x20 => return Err("in string literal".to_owned()),
                _ => State::String { key },
            },
            other => other,
        };
        Ok(false)
    }

    fn literal(&mut self, word: &'static str, at: usize, byte: u8) -> Result<bool, String> {
        let wanted = word.as_bytes()[at];
        if byte != wanted {
            return Err(format!("in literal {word} (expecting {})", quote(wanted)));
        }
        if at + 1 == word.len() {
            return Ok(self.end_value());
        }
        self.state = State::Literal { word, at: at + 1 };
        Ok(false)
    }

    fn number(&mut self, byte: u8) -> Result<bool, String> {
        self.state = match (self.state, byte) {
            (State::Minus, b'0') => State::Zero,
            (State::Minus, b'1'..=b'9') | (State::Integer, b'0'..=b'9') => State::Integer,
            (State::Minus, _) => return Err("in numeric literal".to_owned()),
            (State::Zero | State::Integer, b'.') => State::Dot,
            (State::Dot | State::Fraction, b'0'..=b'9') => State::Fraction,
            (State::Dot, _) => return Err("after decimal point in numeric literal".to_owned()),
            (State::Zero | State::Integer | State::Fraction, b'e' | b'E') => State::Exponent,
            (State::Exponent, b'+' | b'-') => State::ExponentSign,
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => {
                State::ExponentDigits
            }
            (State::Exponent | State::ExponentSign, _) => {
                return Err("in exponent of numeric literal".to_owned());
            }
            _ => {
                // The byte belongs to what follows the number.
                if self.end_value() {
                    return Ok(true);
                }
                return self.after_value(byte);
            }
        };
        Ok(false)
    }
}

/// A byte as Go quotes it in these errors.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..0xa0 => format!("'\\u00{byte:02x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn words() {
        let texts = [
            "{bad",
            "{",
            "[1,",
            "",
            "{\"a\" 1}",
            "{\"a\":1 x}",
            "[1 2]",
            "[1,]",
            "{\"a\":}",
            "{\"a\":1,}",
            "trie",
            "nul",
            "-",
            "-x",
            "1.x",
            "1ex",
            "[01]",
            "\"a\nb\"",
            "\"\\q\"",
            "\"\\u12g\"",
            "x",
            "'a'",
            "\u{e9}",
            "[}",
            "{]",
        ];
        let words: Vec<_> = texts
            .iter()
            .map(|text| format!("{text:?}: {}", syntax_error(text.as_bytes()).unwrap()))
            .collect();
        expect![[r#"
            "{bad": invalid character 'b' looking for beginning of object key string
            "{": unexpected EOF
            "[1,": unexpected EOF
            "": unexpected EOF
            "{\"a\" 1}": invalid character '1' after object key
            "{\"a\":1 x}": invalid character 'x' after object key:value pair
            "[1 2]": invalid character '2' after array element
            "[1,]": invalid character ']' looking for beginning of value
            "{\"a\":}": invalid character '}' looking for beginning of value
            "{\"a\":1,}": invalid character '}' looking for beginning of object key string
            "trie": invalid character 'i' in literal true (expecting 'u')
            "nul": unexpected EOF
            "-": unexpected EOF
            "-x": invalid character 'x' in numeric literal
            "1.x": invalid character 'x' after decimal point in numeric literal
            "1ex": invalid character 'x' in exponent of numeric literal
            "[01]": invalid character '1' after array element
            "\"a\nb\"": invalid character '\n' in string literal
            "\"\\q\"": invalid character 'q' in string escape code
            "\"\\u12g\"": invalid character 'g' in \u hexadecimal character escape
            "x": invalid character 'x' looking for beginning of value
            "'a'": invalid character '\'' looking for beginning of value
            "é": invalid character 'Ã' looking for beginning of value
            "[}": invalid character '}' looking for beginning of value
            "{]": invalid character ']' looking for beginning of object key string"#]]
        .assert_eq(&words.join("\n"));
    }

    #[test]
    fn finds_nothing_in_good_text() {
        for text in [
            "{}",
            "[]",
            "1",
            "0",
            "1.5e-3",
            "true",
            "null",
            "\"\\u00e9\\n\"",
            "{\"a\":[{},-1]} rest",
            " [ 1 , 2 ] ",
        ] {
            assert_eq!(syntax_error(text.as_bytes()), None, "{text}");
            let first = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>().next();
            assert!(first.unwrap().is_ok(), "{text}");
        }
    }
}

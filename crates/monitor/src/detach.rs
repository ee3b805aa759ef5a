//! Detach keys: Docker's syntax, and the scanner that looks for them in what a user types.

use crate::error::{Error, Result};

/// `ctrl-p,ctrl-q`.
const DEFAULT: [u8; 2] = [16, 17];

/// Names of the codes 0 to 31 behind `ctrl-`.
const CONTROL: &[u8; 32] = b"@abcdefghijklmnopqrstuvwxyz[\\]^_";

/// Parses Docker's syntax: keys separated by commas, each a single character, `ctrl-` and one of `a-z@[\]^_`, or `DEL`. An
/// empty text means the default.
///
/// # Errors
/// [`Error::DetachKeys`].
pub(crate) fn parse(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    text.split(',').map(key).collect::<Option<Vec<u8>>>().ok_or_else(|| Error::DetachKeys(text.to_owned()))
}

fn key(name: &str) -> Option<u8> {
    if let [byte] = name.as_bytes() {
        return Some(*byte);
    }
    if name == "DEL" {
        return Some(127);
    }
    let [control] = name.strip_prefix("ctrl-")?.as_bytes() else { return None };
    CONTROL.iter().position(|c| c == control).map(|code| code as u8)
}

/// Looks for a sequence of keys in a stream. The beginning of a sequence is held back until it is clear whether the
/// rest follows.
#[derive(Debug)]
pub(crate) struct Scanner {
    keys: Vec<u8>,
    held: Vec<u8>,
}

impl Scanner {
    pub(crate) fn new(keys: Vec<u8>) -> Scanner {
        Scanner { keys, held: Vec::new() }
    }

    /// Appends to `forward` what is to be passed on and returns whether the sequence is complete. What follows the
    /// sequence is thrown away.
    pub(crate) fn scan(&mut self, input: &[u8], forward: &mut Vec<u8>) -> bool {
        for &byte in input {
            self.held.push(byte);
            while !self.keys.starts_with(&self.held) {
                forward.push(self.held.remove(0));
            }
            if self.held.len() == self.keys.len() {
                self.held.clear();
                return true;
            }
        }
        false
    }

    /// Appends what was held back to `forward` when the input has ended.
    pub(crate) fn finish(&mut self, forward: &mut Vec<u8>) {
        forward.append(&mut self.held);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn syntax() {
        for (text, keys) in [
            ("", &[16, 17][..]),
            ("ctrl-x,x", &[24, b'x']),
            ("ctrl-@,ctrl-[,ctrl-_", &[0, 27, 31]),
            ("a", b"a"),
            ("DEL", &[127]),
        ] {
            assert_eq!(parse(text).unwrap(), keys, "{text}");
        }
        for text in ["ctrl-A", "ctrl-", "ab", "a,,b", "ctrl-ab", "é"] {
            let message = parse(text).unwrap_err().to_string();
            assert_eq!(message, format!("Invalid detach keys ({text}) provided"));
        }
    }

    fn run(keys: &[u8], pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut scanner = Scanner::new(keys.to_vec());
        let mut forward = Vec::new();
        for piece in pieces {
            if scanner.scan(piece, &mut forward) {
                return (forward, true);
            }
        }
        scanner.finish(&mut forward);
        (forward, false)
    }

    #[test]
    fn a_sequence_is_found_across_reads_and_never_forwarded() {
        assert_eq!(run(b"pq", &[b"ls\r", b"p", b"q", b"rest"]), (b"ls\r".to_vec(), true));
        assert_eq!(run(b"pq", &[b"xxpqyy"]), (b"xx".to_vec(), true));
    }

    #[test]
    fn a_broken_sequence_is_forwarded() {
        assert_eq!(run(b"pq", &[b"p", b"a", b"p"]), (b"pap".to_vec(), false));
        assert_eq!(run(b"pq", &[b"pp", b"q"]), (b"p".to_vec(), true));
        assert_eq!(run(b"aab", &[b"aaab"]), (b"a".to_vec(), true));
        assert_eq!(run(b"aab", &[b"aaa"]), (b"aaa".to_vec(), false));
    }
}

//! The client's own terminal: raw mode, size, and the keys that leave a session.

use std::{
    io::{self, IsTerminal},
    os::fd::BorrowedFd,
};

use rustix::termios::{self, OptionalActions, Termios};

use crate::{Error, Result};

/// The keys that leave a session unless others are asked for: ctrl-p, ctrl-q.
const DEFAULT_KEYS: [u8; 2] = [0x10, 0x11];

/// Standard input in raw mode; the mode before comes back when this is dropped.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Sets raw mode, if standard input is a terminal.
    ///
    /// # Errors
    /// If the terminal refuses.
    pub(crate) fn set() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = termios::tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // What the program prints is processed by its own terminal only.
        termios::tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that went away needs no mode.
        let _ = termios::tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

fn stdin() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// Height and width of the terminal that standard output is, if it is one.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some((size.ws_row, size.ws_col))
}

/// A terminal in a container can only be fed from a terminal.
///
/// # Errors
/// If input is attached to a terminal but does not come from one.
pub(crate) fn check_input(attached: bool, tty: bool) -> Result<()> {
    if attached && tty && !io::stdin().is_terminal() {
        return Err(Error::message("the input device is not a TTY"));
    }
    Ok(())
}

/// Watches input for the keys that leave a session.
#[derive(Debug)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them were typed.
    typed: usize,
}

impl DetachKeys {
    /// Reads `ctrl-LETTER` and single characters, separated by commas. What cannot be read stands for the default,
    /// as does an empty text.
    pub(crate) fn new(text: &str) -> Self {
        let keys = text.split(',').map(key).collect::<Option<Vec<_>>>();
        Self { keys: keys.unwrap_or_else(|| DEFAULT_KEYS.to_vec()), typed: 0 }
    }

    /// Takes typed bytes and puts those that are meant for the program into `passed`. True once the keys were
    /// typed; the rest of the input then goes nowhere.
    pub(crate) fn pass(&mut self, input: &[u8], passed: &mut Vec<u8>) -> bool {
        for byte in input {
            if *byte == self.keys[self.typed] {
                self.typed += 1;
                if self.typed == self.keys.len() {
                    return true;
                }
                continue;
            }
            // What looked like the beginning was meant for the program after all.
            passed.extend_from_slice(&self.keys[..self.typed]);
            self.typed = usize::from(*byte == self.keys[0]);
            if self.typed == 0 {
                passed.push(*byte);
            }
        }
        false
    }
}

fn key(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [character] => Some(character),
        [b'c', b't', b'r', b'l', b'-', character] => match character.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => Some(letter - b'a' + 1),
            b'@' => Some(0),
            sign @ b'['..=b'_' => Some(sign - b'[' + 27),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(keys: &str, input: &[&[u8]]) -> (Vec<u8>, bool) {
        let (mut keys, mut passed) = (DetachKeys::new(keys), Vec::new());
        let detached = input.iter().any(|part| keys.pass(part, &mut passed));
        (passed, detached)
    }

    #[test]
    fn keys_are_read() {
        assert_eq!(DetachKeys::new("").keys, DEFAULT_KEYS);
        assert_eq!(DetachKeys::new("ctrl-p,ctrl-q").keys, DEFAULT_KEYS);
        assert_eq!(DetachKeys::new("ctrl-x,x").keys, [24, b'x']);
        assert_eq!(DetachKeys::new("ctrl-@,ctrl-[,ctrl-_").keys, [0, 27, 31]);
        assert_eq!(DetachKeys::new("ctrl-x,nonsense").keys, DEFAULT_KEYS);
    }

    #[test]
    fn the_keys_end_the_session_however_they_arrive() {
        assert_eq!(pass("", &[b"ab\x10\x11c"]), (b"ab".to_vec(), true));
        assert_eq!(pass("", &[b"ab\x10", b"\x11"]), (b"ab".to_vec(), true));
    }

    #[test]
    fn other_keys_pass_unchanged() {
        assert_eq!(pass("", &[b"a\x10", b"b\x11"]), (b"a\x10b\x11".to_vec(), false));
        assert_eq!(pass("", &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(pass("a,b,c", &[b"ab", b"abc"]), (b"ab".to_vec(), true));
    }
}

//! Permissions as `--chmod` gives them: octal, or symbolic as chmod(1) has it.

/// A change of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// These bits, for all.
    Octal(u32),
    /// `u+x,g=rX`, clause by clause.
    Symbolic(Vec<Clause>),
}

/// `ugo+rwx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Bits of those it is for: 0o4700 user, 0o2070 group, 0o1007 others.
    who: u32,
    /// `+`, `-` or `=`.
    operator: char,
    /// What is changed.
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Bits for everybody; `X`: execution of folders and of what is executable already.
    Bits { bits: u32, execute_if_any: bool },
    /// What user (6), group (3) or others (0) have: the shift of their bits.
    Copy(u32),
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// A number, but not one of permissions.
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    Octal(String),
    /// Not symbolic either.
    #[error("invalid syntax")]
    Syntax,
}

impl Mode {
    /// Reads a mode.
    ///
    /// # Errors
    /// In Docker's words.
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777);
            return bits.map(Self::Octal).ok_or_else(|| ModeError::Octal(text.to_owned()));
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            parse_part(part, &mut clauses).ok_or(ModeError::Syntax)?;
        }
        Ok(Self::Symbolic(clauses))
    }

    /// Permission bits (at most 0o7777) of a file that had `mode` so far.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let clauses = match self {
            Self::Octal(bits) => return *bits,
            Self::Symbolic(clauses) => clauses,
        };
        clauses.iter().fold(mode & 0o7777, |mode, clause| clause.apply(mode, is_dir))
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let bits = match self.change {
            Change::Bits { bits, execute_if_any } => {
                let execute = execute_if_any && (is_dir || mode & 0o111 != 0);
                bits | if execute { 0o111 } else { 0 }
            }
            Change::Copy(shift) => ((mode >> shift) & 7) * 0o111,
        };
        match self.operator {
            '+' => mode | bits & self.who,
            '-' => mode & !(bits & self.who),
            _ => mode & !self.who | bits & self.who,
        }
    }
}

/// `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`
fn parse_part(part: &str, clauses: &mut Vec<Clause>) -> Option<()> {
    let actions = part.find(['+', '-', '='])?;
    let (who_text, mut rest) = part.split_at(actions);
    let mut who = 0;
    for c in who_text.chars() {
        who |= match c {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who == 0 {
        who = 0o7777;
    }
    while let Some(operator) = rest.chars().next() {
        rest = &rest[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let (perms, tail) = rest.split_at(end);
        clauses.push(Clause { who, operator, change: change(perms)? });
        rest = tail;
    }
    Some(())
}

fn change(perms: &str) -> Option<Change> {
    match perms {
        "u" => return Some(Change::Copy(6)),
        "g" => return Some(Change::Copy(3)),
        "o" => return Some(Change::Copy(0)),
        _ => {}
    }
    let (mut bits, mut execute_if_any) = (0, false);
    for c in perms.chars() {
        bits |= match c {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            's' => 0o6000,
            't' => 0o1000,
            'X' => {
                execute_if_any = true;
                0
            }
            _ => return None,
        };
    }
    Some(Change::Bits { bits, execute_if_any })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, mode: u32, is_dir: bool) -> String {
        match Mode::parse(text) {
            Ok(parsed) => format!("{:o}", parsed.apply(mode, is_dir)),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn modes_are_applied_as_chmod_does() {
        assert_eq!(check("0750", 0o644, false), "750");
        assert_eq!(check("u+x", 0o644, false), "744");
        assert_eq!(check("+x", 0o644, false), "755");
        assert_eq!(check("a=rX", 0o600, true), "555");
        assert_eq!(check("a=rX", 0o600, false), "444");
        assert_eq!(check("a=rX", 0o700, false), "555");
        assert_eq!(check("u=rwx,g=u,o-rwx", 0o604, false), "770");
        assert_eq!(check("u+s,g+s,+t", 0o755, false), "7755");
        assert_eq!(check("go=", 0o7777, false), "4700");
        assert_eq!(check("u+w-x+r", 0o100, false), "600");
        assert_eq!(check("o=g", 0o640, false), "644");
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        let octal = "invalid chmod parameter: '9'. it should be octal string and between 0 and 07777";
        assert_eq!(check("9", 0, false), octal);
        assert_eq!(check("77777777", 0, false), octal.replace("'9'", "'77777777'"));
        for text in ["zzz", "u", "u+q", "", "u+x,", "u+ug"] {
            assert_eq!(check(text, 0, false), "invalid syntax", "{text}");
        }
    }
}

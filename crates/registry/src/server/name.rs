//! Names of repositories.

use std::fmt;

/// Longest name, in bytes.
const LONGEST: usize = 255;

/// A valid repository name: parts by the distribution specification, joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    /// Checks a name; `None` for a malformed one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        (text.len() <= LONGEST && text.split('/').all(is_part)).then(|| Self(text.to_owned()))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_part(part: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<&u8>| b.is_some_and(|b| letter(*b));
    let bytes = part.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.split(|b| letter(*b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "library/alpine", "a.b/c_d/e__f/g---h", "docker.io/x", "0"] {
            assert!(Name::parse(good).is_some(), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a-", ".a", "a/../b", "a._b", "a b", "é",
            &long,
        ] {
            assert!(Name::parse(bad).is_none(), "{bad}");
        }
    }
}

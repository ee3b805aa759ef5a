//! The path and query of a request.

use std::fmt::Write;

/// Builds `/path?name=value&…`, percent-encoding what needs it.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    text: String,
    separator: char,
}

impl Query {
    /// A request for a path whose parts are already safe or were put together by [`path`].
    pub(crate) fn new(path: impl Into<String>) -> Self {
        Self { text: path.into(), separator: '?' }
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(self.separator);
        self.separator = '&';
        self.text.push_str(name);
        self.text.push('=');
        encode(value, false, &mut self.text);
        self
    }

    /// Adds `name=1` if `set`.
    pub(crate) fn flag(self, name: &str, set: bool) -> Self {
        if set { self.with(name, "1") } else { self }
    }

    /// Adds a parameter that is there, and not empty.
    pub(crate) fn option(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) if !value.is_empty() => self.with(name, value),
            _ => self,
        }
    }

    /// Adds a number that is there.
    pub(crate) fn number(self, name: &str, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.with(name, &value.to_string()),
            None => self,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// `{prefix}{name}{suffix}` with the name made safe; slashes of image names stay.
pub(crate) fn path(prefix: &str, name: &str, suffix: &str) -> String {
    let mut text = String::with_capacity(prefix.len() + name.len() + suffix.len());
    text.push_str(prefix);
    encode(name, true, &mut text);
    text.push_str(suffix);
    text
}

fn encode(value: &str, slashes: bool, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b'/' | b':' | b'@' if slashes => out.push(byte as char),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let query =
            Query::new("/x").with("a", "b c&d").flag("no", false).flag("yes", true).option("none", None);
        assert_eq!(query.number("t", Some(-1)).as_str(), "/x?a=b%20c%26d&yes=1&t=-1");
    }

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        assert_eq!(
            path("/images/", "127.0.0.1:5000/a/b@sha256:00", "/json"),
            "/images/127.0.0.1:5000/a/b@sha256:00/json"
        );
        assert_eq!(path("/containers/", "a?b#c d%", "/start"), "/containers/a%3Fb%23c%20d%25/start");
    }
}

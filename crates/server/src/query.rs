//! Query parameters, read as leniently as Go reads them and refused in its words.

use jiff::Timestamp;

use crate::call::Result;
use crate::failure::Failure;

/// The parameters of a query, decoded, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart.
    pub(crate) fn parse(query: &str) -> Query {
        Query(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The parameter's first value.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// The parameter's first value; empty when it is missing.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A parameter that is on or off: anything but empty, `0`, `no`, `false` and `none` is on.
    pub(crate) fn flag(&self, key: &str) -> bool {
        !matches!(self.text(key).trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// As [`Query::flag`] with another answer for a missing parameter.
    pub(crate) fn flag_or(&self, key: &str, default: bool) -> bool {
        if self.get(key).is_some() { self.flag(key) } else { default }
    }

    /// A number; nothing when it is missing or empty. A wrong one is a 500, as the reference has it.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>> {
        let text = self.text(key);
        if text.is_empty() {
            return Ok(None);
        }
        go_integer("Atoi", text).map(Some)
    }

    /// Seconds since the epoch with an optional fraction; nothing when it is missing, empty or 0.
    pub(crate) fn timestamp(&self, key: &str) -> Result<Option<Timestamp>> {
        let text = self.text(key);
        if text.is_empty() {
            return Ok(None);
        }
        seconds(text).map(|at| Some(at).filter(|at| *at != Timestamp::UNIX_EPOCH))
    }
}

/// Seconds since the epoch with an optional fraction.
pub(crate) fn seconds(text: &str) -> Result<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = go_integer("ParseInt", whole)?;
    let nanoseconds = match fraction {
        "" => 0,
        // compat: missing digits count as zeros.
        digits => go_integer("ParseInt", &format!("{digits:0<9}"))?,
    };
    let nanoseconds = i32::try_from(nanoseconds).ok().filter(|n| (0..1_000_000_000).contains(n));
    let at = nanoseconds.and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok());
    at.ok_or_else(|| out_of_range("ParseInt", text))
}

fn go_integer(function: &str, text: &str) -> Result<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Failure::system(format!("strconv.{function}: parsing {text:?}: invalid syntax")));
    }
    text.parse().map_err(|_| out_of_range(function, text))
}

fn out_of_range(function: &str, text: &str) -> Failure {
    Failure::system(format!("strconv.{function}: parsing {text:?}: value out of range"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let query = Query::parse("a=1&b=+x%2Fy&a=2&c&d=False&n=-7&filters=%7B%22k%22%3A%5B%22v%22%5D%7D");
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((query.text("b"), query.get("c"), query.get("z")), (" x/y", Some(""), None));
        assert!(query.flag("a") && !query.flag("c") && !query.flag("d") && !query.flag("z"));
        assert!(query.flag_or("z", true) && !query.flag_or("d", true));
        assert_eq!(query.number("n").unwrap(), Some(-7));
        assert_eq!(query.number("z").unwrap(), None);
        assert_eq!(query.text("filters"), r#"{"k":["v"]}"#);
    }

    #[test]
    fn words_of_errors() {
        let query = Query::parse("limit=x&since=bad&big=99999999999999999999");
        let words = |result: Result<Option<i64>>| result.unwrap_err().to_string();
        assert_eq!(words(query.number("limit")), r#"strconv.Atoi: parsing "x": invalid syntax"#);
        assert_eq!(
            words(query.number("big")),
            r#"strconv.Atoi: parsing "99999999999999999999": value out of range"#
        );
        let since = query.timestamp("since").unwrap_err().to_string();
        assert_eq!(since, r#"strconv.ParseInt: parsing "bad": invalid syntax"#);
    }

    #[test]
    fn timestamps() {
        let query = Query::parse("a=1700000000.5&b=0&c=1700000000.000000001&d=1700000000");
        let at = |key| query.timestamp(key).unwrap().map(|at| at.as_nanosecond());
        assert_eq!(at("a"), Some(1_700_000_000_500_000_000));
        assert_eq!(at("b"), None);
        assert_eq!(at("c"), Some(1_700_000_000_000_000_001));
        assert_eq!(at("d"), Some(1_700_000_000_000_000_000));
    }
}

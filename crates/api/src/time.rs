//! Timestamps as Go's `time.RFC3339Nano` prints them.

use jiff::Timestamp;

/// Go's zero time: what an instant that never happened prints as.
pub const ZERO: &str = "0001-01-01T00:00:00Z";

/// An instant as RFC 3339 in UTC with up to nine fractional digits, trailing zeros removed.
pub fn rfc3339_nano(at: Timestamp) -> String {
    at.to_string()
}

/// As [`rfc3339_nano`]; nothing prints as [`ZERO`].
pub fn rfc3339_nano_or_zero(at: Option<Timestamp>) -> String {
    at.map_or_else(|| ZERO.to_owned(), rfc3339_nano)
}

/// Reads an RFC 3339 instant; the zero time and anything unreadable is `None`.
pub fn parse(text: &str) -> Option<Timestamp> {
    if text == ZERO { None } else { text.parse().ok() }
}

/// An instant with exactly nine fractional digits: the form of `docker logs --timestamps`.
pub fn rfc3339_nano_fixed(at: Timestamp) -> String {
    format!("{at:.9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_go() {
        let at = Timestamp::new(1_795_465_464, 270_643_600).unwrap_or_default();
        assert_eq!(rfc3339_nano(at), "2026-11-23T20:24:24.2706436Z");
        assert_eq!(rfc3339_nano_fixed(at), "2026-11-23T20:24:24.270643600Z");
        assert_eq!(rfc3339_nano(Timestamp::from_second(0).unwrap_or_default()), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339_nano_or_zero(None), ZERO);
        assert_eq!(parse("2026-11-23T20:24:24.2706436Z"), Some(at));
        assert_eq!(parse(ZERO), None);
    }
}

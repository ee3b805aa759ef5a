//! Points in time as filters give them: a duration ago, seconds since the epoch, or a date.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::call::Result;
use crate::failure::Failure;
use crate::query::seconds;

/// Reads `1h30m` (that long before `now`), `1700000000.5`, or a date with or without time and zone. Without a zone it
/// is in the local one.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Some(ago) = duration(text) {
        return now.checked_sub(ago).map_err(|error| Failure::invalid(error.to_string()));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Some(at) = local(text) {
        return Ok(at);
    }
    seconds(text)
        .map_err(|_| Failure::invalid(format!("failed to parse value as time or duration: {text:?}")))
}

/// A date and perhaps a time in the local zone; `2006-01-02T15` and `2006-01-02T15:04` are allowed.
fn local(text: &str) -> Option<Timestamp> {
    let (text, zone) = match text.strip_suffix('Z') {
        Some(text) => (text, TimeZone::UTC),
        None => (text, TimeZone::system()),
    };
    let whole = match text.split_once('T') {
        None if text.contains('-') => format!("{text}T00:00:00"),
        Some((_, time)) if time.len() == 2 => format!("{text}:00:00"),
        Some((_, time)) if time.len() == 5 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    let at: DateTime = whole.parse().ok()?;
    zone.to_timestamp(at).ok()
}

/// Go's `time.ParseDuration`, for the units that make sense here.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    SignedDuration::try_from_secs_f64(if negative { -total } else { total }).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let at = |text: &str| parse(text, now).unwrap().to_string();
        assert_eq!(at("1h30m"), "2023-11-14T20:43:20Z");
        assert_eq!(at("1.5s"), "2023-11-14T22:13:18.5Z");
        assert_eq!(at("1700000000.25"), "2023-11-14T22:13:20.25Z");
        assert_eq!(at("2023-11-14T22:13:20+01:00"), "2023-11-14T21:13:20Z");
        assert_eq!(at("2023-11-14T22:13Z"), "2023-11-14T22:13:00Z");
        assert_eq!(at("2023-11-14Z"), "2023-11-14T00:00:00Z");
        assert!(at("2023-11-14T22").starts_with("2023-11-1"));
        for bad in ["", "1x", "yesterday", "h", "1h2"] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}

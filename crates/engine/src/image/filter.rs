//! Filters of `images` and `image prune`.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use wharf_api::filter::{FilterError, Filters};
use wharf_build::glob;
use wharf_oci::Reference;

use crate::{Error, Result};

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Error::invalid(error.to_string())
    }
}

/// Whether labels pass `label` (every one) and `label!` (none of them).
pub(super) fn labels(filters: &Filters, labels: Option<&BTreeMap<String, String>>) -> bool {
    let none = BTreeMap::new();
    let labels = labels.unwrap_or(&none);
    filters.matches_map("label", labels)
        && !(filters.contains("label!") && filters.matches_map("label!", labels))
}

/// Whether a name passes `reference`: one of the patterns matches its familiar form, with or without the tag.
///
/// # Errors
/// A malformed pattern.
pub(super) fn reference(filters: &Filters, reference: &Reference) -> Result<bool> {
    if !filters.contains("reference") {
        return Ok(true);
    }
    for pattern in filters.get("reference") {
        for text in [reference.familiar(), reference.familiar_name()] {
            if glob::matches(pattern, &text).map_err(|error| Error::system(error.to_string()))? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The instant of a filter such as `until`, of which there is one at most.
///
/// # Errors
/// More than one value, or one that is no time.
pub(crate) fn until(filters: &Filters, name: &str, now: Timestamp) -> Result<Option<Timestamp>> {
    if filters.get(name).count() > 1 {
        return Err(Error::system(format!("more than one {name} filter specified")));
    }
    Ok(instants(filters, name, now)?.pop())
}

/// The instants of a filter: RFC 3339 in its shorter forms too, seconds since the epoch, or durations before `now`.
///
/// # Errors
/// A value is no time.
pub(super) fn instants(filters: &Filters, name: &str, now: Timestamp) -> Result<Vec<Timestamp>> {
    let read = |text: &str| {
        let bad = || Error::system(format!("failed to parse value as time or duration: {text:?}"));
        instant(text, now).ok_or_else(bad)
    };
    filters.get(name).map(read).collect()
}

fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(duration) = duration(text) {
        return now.checked_sub(duration).ok();
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(date) = text.trim_end_matches('Z').parse::<jiff::civil::DateTime>() {
        let zone = if text.ends_with('Z') { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
        return zone.to_timestamp(date).ok();
    }
    let (seconds, nanoseconds) = text.split_once('.').unwrap_or((text, "0"));
    let nanoseconds = format!("{nanoseconds:0<9}").get(..9)?.parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

/// A Go duration: at least one number with its unit.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let after = &rest[number..];
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let seconds = match &after[..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += rest[..number].parse::<f64>().ok()? * seconds;
        rest = &after[unit..];
    }
    (!text.is_empty() && total < 1e15).then(|| SignedDuration::from_secs_f64(total))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("24h", Some("2026-01-01T00:00:00Z")),
            ("1h30m", Some("2026-01-01T22:30:00Z")),
            ("2025-05-06T07:08:09Z", Some("2025-05-06T07:08:09Z")),
            ("2025-05-06T07:08:09+02:00", Some("2025-05-06T05:08:09Z")),
            ("2025-05-06Z", Some("2025-05-06T00:00:00Z")),
            ("1000000000", Some("2001-09-09T01:46:40Z")),
            ("1000000000.5", Some("2001-09-09T01:46:40.5Z")),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(instant(text, now), expected.map(|text| text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn references() {
        let named = |text: &str| Reference::parse(text).unwrap();
        let filters = |pattern: &str| {
            let mut filters = Filters::default();
            filters.add("reference", pattern);
            filters
        };
        assert!(reference(&filters("busy*"), &named("busybox:1")).unwrap());
        assert!(reference(&filters("busybox"), &named("busybox:1")).unwrap());
        assert!(reference(&filters("*/*:v1"), &named("me/app:v1")).unwrap());
        assert!(!reference(&filters("busy*"), &named("me/busybox:1")).unwrap());
        assert!(!reference(&filters("UPPER"), &named("busybox:1")).unwrap());
        assert!(reference(&filters("["), &named("busybox:1")).is_err());
    }

    #[test]
    fn label_filters() {
        let have: BTreeMap<_, _> = [("a".to_owned(), "1".to_owned())].into();
        let with = |key: &str, value: &str| {
            let mut filters = Filters::default();
            filters.add(key, value);
            labels(&filters, Some(&have))
        };
        assert!(with("label", "a") && with("label", "a=1") && !with("label", "a=2") && !with("label", "b"));
        assert!(!with("label!", "a") && with("label!", "a=2") && with("label!", "b"));
        assert!(labels(&Filters::default(), None));
    }
}

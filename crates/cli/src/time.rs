//! Moments as `--since` and `--until` take them.

use jiff::{SignedDuration, Timestamp, ZonedDateTime, civil, tz::TimeZone};

use crate::value::parse_duration;

/// Seconds and nanoseconds since the epoch as the Engine API takes them, from a span of time before now, RFC 3339
/// in any of its shorter forms, or seconds.
///
/// # Errors
/// The text is neither.
pub(crate) fn timestamp(text: &str) -> Result<String, String> {
    if let Ok(nanos) = parse_duration(text) {
        return Ok(shown(
            Timestamp::now().saturating_sub(SignedDuration::from_nanos(nanos)).unwrap_or_default(),
        ));
    }
    if text.contains('T') || text.matches('-').count() == 2 {
        return moment(text).map(shown).ok_or_else(|| malformed(text));
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if digits(seconds.strip_prefix('-').unwrap_or(seconds)) && digits(fraction) {
        return Ok(text.to_owned());
    }
    Err(malformed(text))
}

fn malformed(text: &str) -> String {
    format!("failed to parse value as time or duration: {}", crate::value::quote(text))
}

fn shown(at: Timestamp) -> String {
    format!("{}.{:09}", at.as_second(), at.subsec_nanosecond())
}

/// RFC 3339, or one of its beginnings, which are in local time.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let (date, zulu) = match date.strip_suffix('Z') {
        Some(date) => (date, true),
        None => (date, time.ends_with('Z')),
    };
    let time = match time.trim_end_matches('Z') {
        "" => civil::Time::midnight(),
        hour if hour.len() == 2 => civil::Time::new(hour.parse().ok()?, 0, 0, 0).ok()?,
        time => time.parse().ok()?,
    };
    let at = date.parse::<civil::Date>().ok()?.to_datetime(time);
    let zone = if zulu { TimeZone::UTC } else { TimeZone::system() };
    zone.to_timestamp(at).ok()
}

/// The moment in local time with all nine digits: `2026-11-23T21:04:41.000000000Z`.
pub(crate) fn rfc3339_nano_local(nanos: i64) -> String {
    let at = Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
    let zoned = ZonedDateTime::new(at, TimeZone::system());
    let offset = zoned.offset();
    let text = jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%S", &zoned).unwrap_or_default();
    let zone = if offset.is_zero() {
        "Z".to_owned()
    } else {
        jiff::fmt::strtime::format("%:z", &zoned).unwrap_or_default()
    };
    format!("{text}.{:09}{zone}", at.subsec_nanosecond())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_form() {
        assert_eq!(timestamp("1795467881").unwrap(), "1795467881");
        assert_eq!(timestamp("1795467881.5").unwrap(), "1795467881.5");
        assert_eq!(timestamp("2026-11-23T21:04:41.25Z").unwrap(), "1795467881.250000000");
        assert_eq!(timestamp("2026-11-23T21:04:41+02:00").unwrap(), "1795460681.000000000");
        assert_eq!(timestamp("2026-11-23Z").unwrap(), "1795392000.000000000");
        assert_eq!(timestamp("2026-11-23T21Z").unwrap(), "1795467600.000000000");
        let now = Timestamp::now().as_second();
        let ago: f64 = timestamp("1h").unwrap().parse().unwrap();
        assert!((ago - (now - 3600) as f64).abs() < 5.0);
        assert_eq!(timestamp("bad").unwrap_err(), "failed to parse value as time or duration: \"bad\"");
    }
}

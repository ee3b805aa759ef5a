//! Ids, long texts and times as lists show them.

use std::collections::BTreeMap;

use jiff::{Timestamp, ZonedDateTime, fmt::strtime, tz::TimeZone};

/// The first twelve digits of an id, without its algorithm.
pub(crate) fn truncate_id(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// Cuts a text to `width` characters, the last of which is then an ellipsis.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    if width <= 1 {
        return text.chars().take(width).collect();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// `a=1,b=2`.
pub(crate) fn label_list(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// A moment in seconds since the epoch in local time, as Go prints it: `2026-11-23 21:04:41 +0000 UTC`.
pub(crate) fn go_time(epoch: i64) -> String {
    let at = ZonedDateTime::new(Timestamp::from_second(epoch).unwrap_or_default(), TimeZone::system());
    strtime::format("%Y-%m-%d %H:%M:%S %z %Z", &at).unwrap_or_default()
}

/// As [`go_time`], with as many digits of the second as there are.
pub(crate) fn go_time_nano(at: Timestamp) -> String {
    let nanos = format!(".{:09}", at.subsec_nanosecond());
    let fraction = nanos.trim_end_matches('0').trim_end_matches('.');
    let zoned = ZonedDateTime::new(at, TimeZone::system());
    let zone = strtime::format("%z %Z", &zoned).unwrap_or_default();
    format!("{}{fraction} {zone}", strtime::format("%Y-%m-%d %H:%M:%S", &zoned).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_texts_are_cut() {
        assert_eq!(truncate_id("sha256:e55a54ed4142ee50906b"), "e55a54ed4142");
        assert_eq!(truncate_id("short"), "short");
        assert_eq!(ellipsis("echo 'Hello from the container!'", 20), "echo 'Hello from th…");
        assert_eq!(ellipsis("exactly twenty chars", 20), "exactly twenty chars");
        assert_eq!(ellipsis("abc", 1), "a");
    }
}

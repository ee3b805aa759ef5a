//! Durations as Go writes them, and days.

use std::time::Duration;

use super::ConfigError;
use super::tree::Tree;

/// Reads `168h`, `1h30m`, `500ms`, `30d`, or a number of seconds.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u32 = rest[..digits].parse().ok()?;
        let letters =
            rest[digits..].len() - rest[digits..].trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = match &rest[digits..digits + letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            "d" => Duration::from_secs(24 * 3600),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = &rest[digits + letters..];
    }
    (!text.is_empty()).then_some(total)
}

/// The duration at a path.
pub(super) fn take(tree: &mut Tree, key: &str) -> Result<Option<Duration>, ConfigError> {
    let text = tree.text(key)?;
    text.map(|text| {
        parse(&text).ok_or_else(|| ConfigError::value(key, format!("{text:?} is not a duration such as 24h")))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text: &str| parse(text).map(|duration| duration.as_millis());
        assert_eq!(seconds("168h"), Some(168 * 3_600_000));
        assert_eq!(seconds("1h30m"), Some(90 * 60_000));
        assert_eq!(seconds("2d"), Some(48 * 3_600_000));
        assert_eq!((seconds("500ms"), seconds("5")), (Some(500), Some(5000)));
        for bad in ["", "h", "1x", "-1s", "1.5h", "99999999999h"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}

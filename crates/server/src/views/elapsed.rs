//! Time spans in words, as the container list shows them.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24;

/// The span from `since` to `now` in words, for example `About an hour`.
pub(crate) fn words(since: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_nanosecond() - since.as_nanosecond()) / 1_000_000_000;
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let minutes = seconds / MINUTE;
    // compat: hours are rounded, everything else is cut off.
    let hours = (seconds + HOUR / 2) / HOUR;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < MINUTE => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 2 * DAY => format!("{hours} hours"),
        () if hours < 14 * DAY => format!("{} days", hours / DAY),
        () if hours < 60 * DAY => format!("{} weeks", hours / DAY / 7),
        () if hours < 730 * DAY => format!("{} months", hours / DAY / 30),
        () => format!("{} years", seconds / HOUR / DAY / 365),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn spans() {
        let spans = [
            0, 1, 59, 60, 119, 120, 3599, 3600, 5399, 5400, 172_799, 172_800, 1_209_599, 1_209_600,
            5_184_000, 63_072_000, -5,
        ];
        let text: Vec<_> = spans
            .iter()
            .map(|&seconds| {
                let now = Timestamp::from_second(1_700_000_000 + seconds).unwrap_or_default();
                format!(
                    "{seconds}: {}",
                    words(Timestamp::from_second(1_700_000_000).unwrap_or_default(), now)
                )
            })
            .collect();
        expect![[r#"
            0: Less than a second
            1: 1 second
            59: 59 seconds
            60: About a minute
            119: About a minute
            120: 2 minutes
            3599: 59 minutes
            3600: About an hour
            5399: About an hour
            5400: 2 hours
            172799: 2 days
            172800: 2 days
            1209599: 2 weeks
            1209600: 2 weeks
            5184000: 2 months
            63072000: 2 years
            -5: Less than a second"#]]
        .assert_eq(&text.join("\n"));
    }
}

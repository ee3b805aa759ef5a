//! Durations as Go prints them.

/// `1s`, `1m30s`, `2.5s`, `300ms`: what Go's `Duration.String` makes of a number of nanoseconds.
pub fn duration_text(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let fraction = |whole: u64, rest: u64, digits: usize| match rest {
        0 => whole.to_string(),
        rest => format!("{whole}.{rest:0digits$}").trim_end_matches('0').to_owned(),
    };
    let small = |unit: u64, digits: usize| fraction(all / unit, all % unit, digits);
    let text = match all {
        0 => "0s".to_owned(),
        1..1_000 => format!("{all}ns"),
        1_000..1_000_000 => format!("{}µs", small(1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", small(1_000_000, 6)),
        _ => {
            let seconds = all / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let seconds = fraction(seconds % 60, all % 1_000_000_000, 9);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_prints_them() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (1_500_000, "1.5ms"),
            (300_000_000, "300ms"),
            (2_500_000_000, "2.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(duration_text(nanoseconds), text);
        }
    }
}

//! How instructions look in progress and history.

use crate::expand::{Lexer, Variables};

/// An instruction as progress shows it: keyword in capitals, variables expanded where that works.
pub(super) fn command(lexer: &Lexer, source: &str, variables: &dyn Variables) -> String {
    let text = lexer.expand(source, variables).map_or_else(|_| source.to_owned(), |expanded| expanded.text);
    match text.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => text.to_uppercase(),
    }
}

/// First line of a here-document.
pub(super) fn summary(document: &str) -> String {
    let mut lines = document.trim().lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first}...") } else { first.to_owned() }
}

/// A duration as Go writes it: `1h0m0s`, `1.5s`, `20ms`.
pub(super) fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let n = nanoseconds.unsigned_abs();
    let decimal = |whole: u64, part: u64, digits: usize| {
        let part = format!("{part:0digits$}");
        let part = part.trim_end_matches('0');
        if part.is_empty() { whole.to_string() } else { format!("{whole}.{part}") }
    };
    let text = match n {
        0 => "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(n / 1_000, n % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(n / 1_000_000, n % 1_000_000, 6)),
        _ => {
            let seconds = n / 1_000_000_000;
            let tail = format!("{}s", decimal(seconds % 60, n % 1_000_000_000, 9));
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => tail,
                (0, minutes) => format!("{minutes}m{tail}"),
                (hours, minutes) => format!("{hours}h{minutes}m{tail}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_go() {
        let all = [0, 1, 1_500, 20_000_000, 1_500_000_000, 90_000_000_000, 3_600_000_000_000].map(duration);
        assert_eq!(all, ["0s", "1ns", "1.5µs", "20ms", "1.5s", "1m30s", "1h0m0s"]);
    }
}

//! The drawn progress bar that goes along with the numbers, for clients that only print.

use wharf_api::progress::Progress;

const WIDTH: u64 = 50;

/// A progress line for `current` of `total` bytes (0: unknown) with its bar.
pub(super) fn line(id: &str, status: &str, current: u64, total: u64) -> Progress {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Progress { progress: bar(current, total), ..Progress::bytes(id, status, signed(current), signed(total)) }
}

/// `[====>     ]  1.2MB/3MB`, as wide as on a terminal of 200 columns.
fn bar(current: u64, total: u64) -> String {
    if total == 0 {
        return if current == 0 { String::new() } else { format!("{:>8}", size(current)) };
    }
    let done = (current.saturating_mul(WIDTH) / total).min(WIDTH);
    let width = usize::try_from(WIDTH).unwrap_or_default();
    let filled = usize::try_from(done).unwrap_or_default();
    let drawn = format!("{}>{}", "=".repeat(filled), " ".repeat(width - filled));
    if current > total {
        return format!("[{drawn}] {:>8}", size(current));
    }
    format!("[{drawn}] {:>8}/{}", size(current), size(total))
}

/// Four significant digits and a decimal unit: `36.45kB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn bars() {
        let lines = [
            (159, 159),
            (36_445, 1_079_942),
            (0, 10),
            (7, 0),
            (0, 0),
            (20, 10),
            (123_456_789, 2_000_000_000),
        ];
        let text: String = lines.map(|(current, total)| format!("{}|\n", bar(current, total))).concat();
        expect![[r#"
            [==================================================>]     159B/159B|
            [=>                                                 ]  36.45kB/1.08MB|
            [>                                                  ]       0B/10B|
                  7B|
            |
            [==================================================>]      20B|
            [===>                                               ]  123.5MB/2GB|
        "#]]
        .assert_eq(&text);
    }
}

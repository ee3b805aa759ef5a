//! The lines of a Dockerfile around those that are wrong, as progress shows them.

use std::fmt::Write;
use std::ops::RangeInclusive;

const RULE: &str = "--------------------";

/// Lines shown besides those that are meant, at most.
const PADDING: usize = 5;

/// `name:3` and the lines around `lines` with a mark before each that is meant; empty if there are no such lines.
pub fn excerpt(name: &str, text: &str, lines: &RangeInclusive<usize>) -> String {
    let all: Vec<&str> = text.split('\n').collect();
    let (first, last) = (*lines.start(), *lines.end());
    if first == 0 || first > last || last > all.len() {
        return String::new();
    }
    let (start, end) = padded(first, last, all.len());
    let mut out = format!("{name}:{first}\n{RULE}\n");
    for (number, line) in (start..=end).zip(&all[start - 1..end]) {
        let mark = if lines.contains(&number) { ">>>" } else { "   " };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{number:4} | {mark} {}", line.trim_end_matches('\r'));
    }
    out.push_str(RULE);
    out.push('\n');
    out
}

/// Grows a range on both sides; the more lines are meant, the fewer are added.
fn padded(first: usize, last: usize, count: usize) -> (usize, usize) {
    let (mut start, mut end, mut shown) = (first, last, last - first);
    while shown < PADDING {
        if start > 1 {
            start -= 1;
            shown += 1;
        }
        if end < count {
            end += 1;
            shown += 1;
        }
        shown += 1;
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn lines_around_the_failing_ones() {
        let text = "FROM a\nRUN b\nRUN c \\\n  && d \\\n  && e\nRUN f\nRUN g\n";
        expect![[r#"
            Dockerfile:2
            --------------------
               1 |     FROM a
               2 | >>> RUN b
               3 |     RUN c \
               4 |       && d \
            --------------------
        "#]]
        .assert_eq(&excerpt("Dockerfile", text, &(2..=2)));
        expect![[r#"
            Dockerfile:3
            --------------------
               2 |     RUN b
               3 | >>> RUN c \
               4 | >>>   && d \
               5 | >>>   && e
               6 |     RUN f
            --------------------
        "#]]
        .assert_eq(&excerpt("Dockerfile", text, &(3..=5)));
        assert_eq!(excerpt("Dockerfile", text, &(9..=9)), "");
    }
}

//! Ranges of bytes, wanted and sent.

/// What a `Range` header asks for of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: there is no such header, or one that may be ignored (several ranges, another unit).
    Whole,
    /// The bytes from `start` up to but without `end`.
    Part {
        /// First.
        start: u64,
        /// One after the last.
        end: u64,
    },
    /// Nothing that the file has.
    Unsatisfiable,
}

/// Reads a `Range` header (RFC 9110, section 14.2) for a file of `size` bytes.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((start, end)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let part = match (start.trim(), end.trim()) {
        ("", suffix) => number(suffix).map(|length| (size.saturating_sub(length), size)),
        (start, "") => number(start).map(|start| (start, size)),
        (start, end) => match (number(start), number(end)) {
            // An end before the start is nothing either: it may be refused (RFC 9110, section 15.5.17), and is elsewhere.
            (Some(start), Some(end)) => Some((start, end.saturating_add(1).min(size))),
            _ => None,
        },
    };
    match part {
        None => Wanted::Whole,
        Some((start, end)) if start < end => Wanted::Part { start, end },
        Some(_) => Wanted::Unsatisfiable,
    }
}

/// Reads the `Content-Range` of an upload's chunk, `START-END`: the first byte, and one after the last. `None` if it is
/// malformed. Some clients write it as RFC 9110 does, `bytes START-END/SIZE`.
pub(crate) fn chunk(header: &str) -> Option<(u64, u64)> {
    let spec = header.trim();
    let spec = spec.strip_prefix("bytes ").or_else(|| spec.strip_prefix("bytes=")).unwrap_or(spec);
    let spec = spec.split_once('/').map_or(spec, |(range, _)| range);
    let (start, end) = spec.split_once('-')?;
    let (start, end) = (number(start)?, number(end)?);
    // An empty chunk has no right form; this one is seen.
    (start <= end).then_some((start, end.checked_add(1)?))
}

fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_ranges() {
        let part = |start, end| Wanted::Part { start, end };
        for (header, expected) in [
            ("bytes=0-3", part(0, 4)),
            ("bytes=4-", part(4, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-500", part(5, 10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=99-100", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Unsatisfiable),
            ("bytes=5-0", Wanted::Unsatisfiable),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=99999999999999999999-", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn chunks() {
        assert_eq!(chunk("0-9"), Some((0, 10)));
        assert_eq!(chunk("bytes 10-19/20"), Some((10, 20)));
        for bad in ["", "-", "1", "2-1", "a-b", "0-18446744073709551615", "+1-2"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }
}

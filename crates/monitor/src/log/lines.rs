//! Output cut into entries, as Docker's log copier does it.

use jiff::Timestamp;

use super::json;

/// The most bytes one entry holds. A longer line becomes several entries, of which all but the last have no line end.
const ENTRY: usize = 16384;

/// Takes finished entries.
pub(super) trait Sink {
    /// The buffer to append one entry to; called right before each.
    fn begin(&mut self) -> &mut Vec<u8>;
}

/// One output stream of the container.
#[derive(Debug)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not been read.
    pending: Vec<u8>,
    /// What follows the text of an entry; the time at its end changes with every read.
    tail: Vec<u8>,
    /// Length of the part of `tail` that never changes.
    fixed: usize,
    /// The tail of all entries of the line being cut, once its first piece was written.
    piece_tail: Vec<u8>,
}

impl Lines {
    pub(super) fn new(stream: &str, attrs: &str) -> Lines {
        let tail = json::middle(stream, attrs);
        Lines { pending: Vec::new(), fixed: tail.len(), tail, piece_tail: Vec::new() }
    }

    /// Appends the entries that `output` completes to `sink`, with the time `now`.
    pub(super) fn write(&mut self, mut output: &[u8], now: Timestamp, sink: &mut impl Sink) {
        self.set_time(now);
        while !output.is_empty() {
            let room = ENTRY - self.pending.len();
            let window = &output[..room.min(output.len())];
            let (text, rest, ended) = match memchr::memchr(b'\n', window) {
                Some(end) => (&window[..end], &output[end + 1..], true),
                None if window.len() == room => (window, &output[room..], false),
                None => {
                    self.pending.extend_from_slice(window);
                    return;
                }
            };
            self.entry(text, ended, sink);
            output = rest;
        }
    }

    /// Appends the unfinished line, without a line end.
    pub(super) fn finish(&mut self, now: Timestamp, sink: &mut impl Sink) {
        self.set_time(now);
        if !self.pending.is_empty() {
            self.entry(&[], false, sink);
        }
    }

    fn set_time(&mut self, now: Timestamp) {
        use std::io::Write;
        self.tail.truncate(self.fixed);
        // Nothing can fail in memory. jiff trims zeros at the end of the fraction, as Go's RFC3339Nano does.
        let _ = writeln!(self.tail, "{now}\"}}");
    }

    /// Appends the entry of what is pending and `text`.
    fn entry(&mut self, text: &[u8], ended: bool, sink: &mut impl Sink) {
        let out = sink.begin();
        out.extend_from_slice(b"{\"log\":\"");
        if self.pending.is_empty() {
            json::escape(text, out);
        } else {
            self.pending.extend_from_slice(text);
            json::escape(&self.pending, out);
            self.pending.clear();
        }
        if ended {
            out.extend_from_slice(b"\\n");
        }
        // compat: all pieces of a line carry the time of the first.
        match (self.piece_tail.is_empty(), ended) {
            (true, true) => out.extend_from_slice(&self.tail),
            (true, false) => {
                self.piece_tail.extend_from_slice(&self.tail);
                out.extend_from_slice(&self.tail);
            }
            (false, true) => {
                out.extend_from_slice(&self.piece_tail);
                self.piece_tail.clear();
            }
            (false, false) => out.extend_from_slice(&self.piece_tail),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    impl Sink for Vec<u8> {
        fn begin(&mut self) -> &mut Vec<u8> {
            self
        }
    }

    fn time(nanos: i32) -> Timestamp {
        Timestamp::new(1_700_000_000, nanos).unwrap()
    }

    fn check(pieces: &[&[u8]], expected: &Expect) {
        let mut lines = Lines::new("stdout", "");
        let mut out = Vec::new();
        for (i, piece) in pieces.iter().enumerate() {
            lines.write(piece, time(i as i32 * 1000), &mut out);
        }
        lines.finish(time(999_999_999), &mut out);
        let text = String::from_utf8(out).unwrap();
        expected
            .assert_eq(&text.replace(&"x".repeat(16384), "<16384>").replace(&"x".repeat(16383), "<16383>"));
    }

    #[test]
    fn lines_are_put_together_across_reads() {
        check(
            &[b"one\ntwo\n\nth", b"ree\nfour"],
            &expect![[r#"
                {"log":"one\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}
                {"log":"two\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}
                {"log":"\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}
                {"log":"three\n","stream":"stdout","time":"2023-11-14T22:13:20.000001Z"}
                {"log":"four","stream":"stdout","time":"2023-11-14T22:13:20.999999999Z"}
            "#]],
        );
    }

    #[test]
    fn long_lines_are_cut() {
        let exact = [&[b'x'; 16384][..], b"\n"].concat();
        check(
            &[&[b'x'; 16383], b"\n", &exact, &[b'x'; 10000], &[b'x'; 22768 + 5], b"y\nz\n"],
            &expect![[r#"
                {"log":"<16383>\n","stream":"stdout","time":"2023-11-14T22:13:20.000001Z"}
                {"log":"<16384>","stream":"stdout","time":"2023-11-14T22:13:20.000002Z"}
                {"log":"\n","stream":"stdout","time":"2023-11-14T22:13:20.000002Z"}
                {"log":"<16384>","stream":"stdout","time":"2023-11-14T22:13:20.000004Z"}
                {"log":"<16384>","stream":"stdout","time":"2023-11-14T22:13:20.000004Z"}
                {"log":"xxxxxy\n","stream":"stdout","time":"2023-11-14T22:13:20.000004Z"}
                {"log":"z\n","stream":"stdout","time":"2023-11-14T22:13:20.000005Z"}
            "#]],
        );
    }

    proptest::proptest! {
        /// However reads cut the output, the same entries come out.
        #[test]
        fn entries_do_not_depend_on_the_reads(
            lines in proptest::collection::vec(0usize..40_000, 0..6),
            cuts in proptest::collection::vec(1usize..30_000, 1..20),
        ) {
            let text: Vec<u8> = lines.iter().flat_map(|n| [vec![b'x'; *n], vec![b'\n']].concat()).collect();
            let entries = |pieces: &mut dyn Iterator<Item = usize>| {
                let mut lines = Lines::new("stdout", "");
                let (mut out, mut rest) = (Vec::new(), &text[..]);
                for n in pieces {
                    let piece = rest.split_off(..n.min(rest.len())).unwrap_or_default();
                    lines.write(piece, time(0), &mut out);
                    if rest.is_empty() {
                        break;
                    }
                }
                lines.finish(time(0), &mut out);
                out
            };
            let whole = entries(&mut std::iter::once(usize::MAX));
            proptest::prop_assert!(entries(&mut cuts.iter().copied().cycle()) == whole);
        }
    }

    #[test]
    fn a_character_cut_in_two_is_replaced() {
        let text = [&[b'x'; 16383][..], "é\n".as_bytes()].concat();
        check(
            &[&text],
            &expect![[r#"
                {"log":"<16383>\ufffd","stream":"stdout","time":"2023-11-14T22:13:20Z"}
                {"log":"\ufffd\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}
            "#]],
        );
    }
}

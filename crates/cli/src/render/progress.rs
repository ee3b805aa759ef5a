//! Progress of pull, push, load and import: lines that are redrawn in place on a terminal, and plain lines
//! without measures anywhere else.

use std::{collections::HashMap, fmt::Write as _};

use wharf_api::progress::{Progress, ProgressDetail};

use super::human_size;
use crate::{Error, Result};

/// Turns messages into what is written.
#[derive(Debug)]
pub(crate) struct Display {
    /// The columns that the terminal has now, if it is one.
    columns: fn() -> Option<usize>,
    /// The line of each id, counted from the first one of the current block.
    lines: HashMap<String, usize>,
}

impl Display {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self::new(|| columns_of(std::io::stdout()))
    }

    /// For standard error.
    pub(crate) fn stderr() -> Self {
        Self::new(|| columns_of(std::io::stderr()))
    }

    /// For anything but a terminal.
    pub(crate) fn plain() -> Self {
        Self::new(|| None)
    }

    fn new(columns: fn() -> Option<usize>) -> Self {
        Self { columns, lines: HashMap::new() }
    }

    /// The text for one message.
    ///
    /// # Errors
    /// The message says that the operation failed.
    pub(crate) fn render(&mut self, message: &Progress) -> Result<String> {
        let mut out = String::new();
        if message.aux.is_some() {
            return Ok(out);
        }
        let Some(columns) = (self.columns)() else {
            self.without_measures(message, &mut out)?;
            return Ok(out);
        };
        let mut up = 0;
        if !message.id.is_empty() && message.detail.is_some() {
            let next = self.lines.len();
            let line = match self.lines.get(&message.id) {
                Some(line) => *line,
                None => {
                    self.lines.insert(message.id.clone(), next);
                    out.push('\n');
                    next
                }
            };
            up = self.lines.len() - line;
            let _ = write!(out, "\x1b[{up}A");
        } else {
            self.lines.clear();
        }
        terminal_line(message, columns, &mut out)?;
        if !message.id.is_empty() && up > 0 {
            let _ = write!(out, "\x1b[{up}B");
        }
        Ok(out)
    }

    fn without_measures(&self, message: &Progress, out: &mut String) -> Result<()> {
        fail_if_error(message)?;
        if message.detail.as_ref().is_some_and(|d| !bar(d, 200).is_empty()) {
            return Ok(());
        }
        prefix(message, out);
        if message.stream.is_empty() {
            let _ = writeln!(out, "{}", message.status);
        } else {
            out.push_str(&message.stream);
        }
        Ok(())
    }
}

fn columns_of(stream: impl std::os::fd::AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col))
}

fn fail_if_error(message: &Progress) -> Result<()> {
    match &message.error_detail {
        Some(detail) => Err(Error::message(detail.message.clone())),
        None if !message.error.is_empty() => Err(Error::message(message.error.clone())),
        None => Ok(()),
    }
}

fn prefix(message: &Progress, out: &mut String) {
    if !message.id.is_empty() {
        let _ = write!(out, "{}: ", message.id);
    }
}

fn terminal_line(message: &Progress, columns: usize, out: &mut String) -> Result<()> {
    fail_if_error(message)?;
    match &message.detail {
        Some(detail) if message.stream.is_empty() => {
            out.push_str("\x1b[2K\r");
            prefix(message, out);
            let _ = write!(out, "{} {}\r", message.status, bar(detail, columns));
        }
        _ => {
            prefix(message, out);
            if message.stream.is_empty() {
                let _ = writeln!(out, "{}", message.status);
            } else {
                out.push_str(&message.stream);
            }
        }
    }
    Ok(())
}

/// `[====>     ]  1.2MB/3.4MB`, as much of it as fits.
fn bar(detail: &ProgressDetail, columns: usize) -> String {
    let (current, total) = (detail.current, detail.total);
    if current <= 0 && total <= 0 {
        return String::new();
    }
    if total <= 0 {
        return match detail.units.as_str() {
            "" => format!("{:>8}", human_size(current as f64)),
            units => format!("{current} {units}"),
        };
    }
    let filled = (((current as f64 / total as f64) * 100.0) as usize / 2).min(50);
    let mut out = String::new();
    if columns > 110 {
        let _ = write!(out, "[{}>{}] ", "=".repeat(filled), " ".repeat(50 - filled));
    }
    let counts = match detail.units.as_str() {
        "" if current > total => format!("{:>8}", human_size(current as f64)),
        "" => format!("{:>8}/{}", human_size(current as f64), human_size(total as f64)),
        units if current > total => format!("{current} {units}"),
        units => format!("{current}/{total} {units}"),
    };
    out + &counts
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn messages() -> Vec<Progress> {
        vec![
            Progress { id: "latest".to_owned(), ..Progress::status("Pulling from library/x") },
            Progress::step("aaaa", "Pulling fs layer"),
            Progress::step("bbbb", "Pulling fs layer"),
            Progress::bytes("aaaa", "Downloading", 512_000, 1_024_000),
            Progress::bytes("bbbb", "Downloading", 10, 0),
            Progress::step("aaaa", "Pull complete"),
            Progress::status("Digest: sha256:1"),
        ]
    }

    #[test]
    fn plain_lines_have_no_measures() {
        let mut display = Display::plain();
        let text: String = messages().iter().map(|m| display.render(m).unwrap()).collect();
        expect![[r#"
            latest: Pulling from library/x
            aaaa: Pulling fs layer
            bbbb: Pulling fs layer
            aaaa: Pull complete
            Digest: sha256:1
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_terminal_is_redrawn_in_place() {
        let mut display = Display { columns: || Some(120), lines: HashMap::new() };
        let text: Vec<_> = messages().iter().map(|m| display.render(m).unwrap()).collect();
        expect![[r#"
            [
                "latest: Pulling from library/x\n",
                "\n\u{1b}[1A\u{1b}[2K\raaaa: Pulling fs layer \r\u{1b}[1B",
                "\n\u{1b}[1A\u{1b}[2K\rbbbb: Pulling fs layer \r\u{1b}[1B",
                "\u{1b}[2A\u{1b}[2K\raaaa: Downloading [=========================>                         ]    512kB/1.024MB\r\u{1b}[2B",
                "\u{1b}[1A\u{1b}[2K\rbbbb: Downloading      10B\r\u{1b}[1B",
                "\u{1b}[2A\u{1b}[2K\raaaa: Pull complete \r\u{1b}[2B",
                "Digest: sha256:1\n",
            ]
        "#]]
        .assert_debug_eq(&text);
    }

    #[test]
    fn errors_end_it() {
        let mut display = Display::plain();
        assert_eq!(
            display.render(&Progress::error("manifest unknown")).unwrap_err().to_string(),
            "manifest unknown"
        );
    }
}

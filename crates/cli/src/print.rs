//! Writing to the standard streams. A reader that went away ends the program quietly, as it ends any filter.

use std::io::{self, Write};

/// Writes all of `text` to standard output.
pub(crate) fn out(text: &str) {
    out_bytes(text.as_bytes());
}

/// Writes all of `text` and a line end to standard output.
pub(crate) fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    end_if_failed(stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")));
}

/// Writes all bytes to standard output and flushes it.
pub(crate) fn out_bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    end_if_failed(stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

/// Writes `text` and a line end to standard error.
pub(crate) fn warn(text: &str) {
    let mut stderr = io::stderr().lock();
    // Nobody is left to tell.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.write_all(b"\n"));
}

/// Writes all of `text` to standard error.
pub(crate) fn err(text: &str) {
    // Nobody is left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes a remark to standard error, set off from what is around it.
pub(crate) fn note_err(text: &str) {
    warn(&remark(text, io::IsTerminal::is_terminal(&io::stderr())));
}

/// As [`note_err`], to standard output.
pub(crate) fn note(text: &str) {
    line(&remark(text, is_terminal()));
}

fn remark(text: &str, terminal: bool) -> String {
    let (head, open, close) = match terminal {
        true => {
            ("\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m", "\x1b[3m", "\x1b[0m")
        }
        false => (" Info -> ", "", ""),
    };
    let lines: Vec<String> = text.split('\n').map(|line| format!("{open}{line}{close}")).collect();
    format!("\n{head}{}", lines.join("\n         "))
}

fn end_if_failed(result: io::Result<()>) {
    if let Err(error) = result {
        if error.kind() != io::ErrorKind::BrokenPipe {
            warn(&format!("write /dev/stdout: {}", crate::error::go_os_error(&error)));
        }
        // What a shell reports for a filter that SIGPIPE ended.
        std::process::exit(141);
    }
}

/// True if standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stdout())
}

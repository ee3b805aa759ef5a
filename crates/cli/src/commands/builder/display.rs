//! Progress of a build: lines as BuildKit prints them, redrawn in place on a terminal.

use std::{collections::HashMap, fmt::Write as _, time::Instant};

use wharf_api::build::{Event, Failure, Outcome};
use wharf_oci::Reference;

use crate::print;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all.
    Quiet,
    /// Line by line.
    Plain,
    /// One JSON document a line.
    Json,
    /// Redrawn in place.
    Terminal,
}

/// Lines of a failed step's output that are shown again.
const LOG_KEPT: usize = 4096;

/// Lines of a running step's output that a terminal shows.
const TAIL: usize = 4;

/// Shows progress.
pub(super) struct Display {
    style: Style,
    begun: Instant,
    dockerfile_name: String,
    dockerfile: String,
    /// Steps by the engine's number.
    steps: HashMap<u32, Step>,
    /// The engine's numbers in the order in which steps began.
    order: Vec<u32>,
    /// Number of the last line group that was printed.
    last: usize,
    /// Numbers taken so far.
    count: usize,
    /// Lines of the terminal that are drawn over.
    drawn: usize,
}

/// What is known of a step.
struct Step {
    number: usize,
    name: String,
    begun: Instant,
    /// `DONE 0.1s`, `CACHED`, `ERROR …`; empty while it runs.
    end: String,
    /// Seconds it took.
    seconds: f64,
    /// Output without a line end yet.
    partial: Vec<u8>,
    log: Vec<String>,
}

impl Display {
    pub(super) fn new(style: Style, dockerfile_name: &str, dockerfile: &str) -> Self {
        let mut display = Self {
            style,
            begun: Instant::now(),
            dockerfile_name: dockerfile_name.to_owned(),
            dockerfile: dockerfile.to_owned(),
            steps: HashMap::new(),
            order: Vec::new(),
            last: 0,
            count: 0,
            drawn: 0,
        };
        // The engine tells what it fetches by itself.
        if style == Style::Plain && !dockerfile.is_empty() {
            let size = dockerfile.len();
            display.group(
                &format!("[internal] load build definition from {dockerfile_name}"),
                &[format!("transferring dockerfile: {size}B done"), "DONE 0.0s".to_owned()],
            );
        }
        display
    }

    /// Prints a group that is complete.
    fn group(&mut self, name: &str, lines: &[String]) {
        self.count += 1;
        let number = self.count;
        self.lines(number, std::iter::once(name).chain(lines.iter().map(String::as_str)));
    }

    /// Prints lines of one group; groups are apart by an empty line.
    fn lines<'a>(&mut self, number: usize, lines: impl IntoIterator<Item = &'a str>) {
        let mut text = String::new();
        if self.last != number && self.last != 0 {
            text.push('\n');
        }
        self.last = number;
        for line in lines {
            let _ = writeln!(text, "#{number} {line}");
        }
        print::err(&text);
    }

    /// Shows an event.
    pub(super) fn event(&mut self, event: &Event) {
        if self.style == Style::Json
            && let Ok(text) = serde_json::to_string(event)
        {
            print::err(&format!("{text}\n"));
        }
        match event {
            Event::Started { step, name } => {
                self.count += 1;
                let number = self.count;
                let (name, begun) = (name.clone(), Instant::now());
                if self.style == Style::Plain {
                    self.lines(number, [name.as_str()]);
                }
                let made = Step {
                    number,
                    name,
                    begun,
                    end: String::new(),
                    seconds: 0.0,
                    partial: Vec::new(),
                    log: Vec::new(),
                };
                // A step may begin again: it was known, but it cannot be had.
                if self.steps.insert(*step, made).is_none() {
                    self.order.push(*step);
                }
            }
            Event::Cached { step } => self.end(*step, |_| "CACHED".to_owned()),
            Event::Done { step } => self.end(*step, |seconds| format!("DONE {seconds:.1}s")),
            Event::Status { step, text } => {
                if let (Style::Plain, Some(found)) = (self.style, self.steps.get(step)) {
                    let number = found.number;
                    self.lines(number, [text.as_str()]);
                }
            }
            Event::Failed { step, error } => self.end(*step, |_| format!("ERROR: {error}")),
        }
    }

    fn end(&mut self, step: u32, text: impl FnOnce(f64) -> String) {
        let Some(found) = self.steps.get_mut(&step) else { return };
        found.seconds = found.begun.elapsed().as_secs_f64();
        found.end = text(found.seconds);
        let number = found.number;
        let mut lines = Vec::new();
        if !found.partial.is_empty() {
            let line = found.take_line();
            lines.push(line);
        }
        lines.push(found.end.clone());
        if self.style == Style::Plain {
            self.lines(number, lines.iter().map(String::as_str));
        }
    }

    /// Shows what a step wrote.
    pub(super) fn output(&mut self, step: u32, text: &[u8]) {
        let Some(found) = self.steps.get_mut(&step) else { return };
        let mut lines = Vec::new();
        for piece in text.split_inclusive(|&byte| byte == b'\n') {
            found.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                found.partial.pop();
                lines.push(found.take_line());
            }
        }
        let number = found.number;
        if self.style == Style::Plain && !lines.is_empty() {
            self.lines(number, lines.iter().map(String::as_str));
        }
    }

    /// Draws the present state over the last.
    pub(super) fn redraw(&mut self) {
        if self.style != Style::Terminal {
            return;
        }
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        let columns = size.map_or(80, |size| usize::from(size.ws_col)).max(20);
        let rows = size.map_or(24, |size| usize::from(size.ws_row)).max(5);
        let done = self.order.iter().filter(|step| !self.steps[step].end.is_empty()).count();
        let seconds = self.begun.elapsed().as_secs_f64();
        let mut lines = vec![format!("[+] Building {seconds:.1}s ({done}/{})", self.order.len())];
        for step in &self.order {
            self.steps[step].draw(columns, &mut lines);
        }
        // What has scrolled away cannot be drawn over.
        let skip = lines.len().saturating_sub(rows - 1);
        lines.drain(1..=skip.min(lines.len() - 1)).for_each(drop);
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for line in &lines {
            let _ = writeln!(text, "\r\x1b[2K{line}");
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        print::err(&text);
    }

    /// Shows the result, and what is left to say.
    pub(super) fn finish(&mut self, outcome: &Outcome, names: &[String], warnings: &[String]) {
        self.redraw();
        match self.style {
            Style::Plain => {
                if let Some(image) = outcome.images.first() {
                    let mut lines =
                        vec!["exporting layers done".to_owned(), format!("writing image {image} done")];
                    lines.extend(names.iter().map(|name| format!("naming to {} done", canonical(name))));
                    lines.push("DONE 0.0s".to_owned());
                    self.group("exporting to image", &lines);
                }
            }
            Style::Terminal => {
                for name in names {
                    print::err(&format!(" => => naming to {}\n", canonical(name)));
                }
            }
            Style::Quiet | Style::Json => return,
        }
        self.warnings(outcome);
        let mut text = String::new();
        // What failed although the build did not.
        for step in self.order.iter().map(|step| &self.steps[step]) {
            if step.end.starts_with("ERROR") {
                let _ = write!(text, "------\n > {}:\n------\n", step.name);
            }
        }
        for warning in warnings {
            let _ = writeln!(text, "WARNING: {warning}");
        }
        print::err(&text);
    }

    fn warnings(&self, outcome: &Outcome) {
        let count = outcome.warnings.len();
        if count == 0 {
            return;
        }
        let plural = if count == 1 { "warning" } else { "warnings" };
        let mut text = format!("\n {count} {plural} found:\n");
        for warning in &outcome.warnings {
            let _ = writeln!(text, " - {}: {} (line {})", warning.check, warning.message, warning.lines.0);
        }
        print::err(&text);
    }

    /// Shows what led to a failure: the step's output and the lines of the Dockerfile.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.redraw();
        let mut text = String::new();
        if let Some(step) = failure.step.and_then(|step| self.steps.get(&step)) {
            let _ = write!(text, "------\n > {}:\n", step.name);
            for line in &step.log {
                let _ = writeln!(text, "{line}");
            }
            text.push_str("------\n");
            if let Some(lines) = failure.lines {
                text.push_str(&wharf_build::excerpt(
                    &self.dockerfile_name,
                    &self.dockerfile,
                    &(lines.0..=lines.1),
                ));
            }
        }
        print::err(&text);
    }
}

impl Step {
    /// Takes the output that was collected as a line with its time.
    fn take_line(&mut self) -> String {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
        let line = format!("{:.3} {}", self.begun.elapsed().as_secs_f64(), text.trim_end_matches('\r'));
        if self.log.len() >= LOG_KEPT {
            self.log.remove(0);
        }
        self.log.push(line.clone());
        line
    }

    fn draw(&self, columns: usize, lines: &mut Vec<String>) {
        let seconds = if self.end.is_empty() { self.begun.elapsed().as_secs_f64() } else { self.seconds };
        let mark = match self.end.as_str() {
            "CACHED" => " => CACHED ",
            end if end.starts_with("ERROR") => " => ERROR ",
            _ => " => ",
        };
        let time = format!("{seconds:.1}s");
        let room = columns.saturating_sub(time.len() + 2);
        let name: String = format!("{mark}{}", self.name).chars().take(room).collect();
        lines.push(format!("{name:<room$} {time}"));
        if self.end.is_empty() {
            for line in self.log.iter().rev().take(TAIL).rev() {
                let line: String = format!(" => => # {line}").chars().take(columns - 1).collect();
                lines.push(line);
            }
        }
    }
}

/// A name as the image store has it, without a tag that was not given.
pub(super) fn canonical(name: &str) -> String {
    Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole() {
        assert_eq!(canonical("app"), "docker.io/library/app");
        assert_eq!(canonical("a/b:c"), "docker.io/a/b:c");
    }
}

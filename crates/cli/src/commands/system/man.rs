//! `man`: manual pages from the definitions.

use std::{fmt::Write as _, path::Path};

use crate::{
    Cli, Error, Matches, Result, app,
    command::{Args, Command, Section},
    flag::Flag,
};

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("man", "DIRECTORY", "Write the manual pages into a directory")
        .args(Args::Exact(1))
        .section(Section::Hidden)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let dir = Path::new(m.arg(0));
    std::fs::create_dir_all(dir).map_err(|error| Error::file("mkdir", m.arg(0), error))?;
    let root = Command { action: crate::command::Action::Group(app::COMMANDS), ..ROOT };
    write_pages(dir, cli.program(), &root)
}

const ROOT: Command =
    Command::new("", "[OPTIONS] COMMAND [ARG...]", "A self-sufficient runtime for containers")
        .flags(app::GLOBAL_FLAGS);

/// Writes the page of a command and of everything below it.
fn write_pages(dir: &Path, path: &str, command: &Command) -> Result<()> {
    let file = dir.join(format!("{}.1", path.replace(' ', "-")));
    std::fs::write(&file, page(path, command))
        .map_err(|error| Error::file("open", file.display().to_string(), error))?;
    for below in command.below().iter().filter(|c| c.listed()) {
        write_pages(dir, &format!("{path} {}", below.name), below)?;
    }
    Ok(())
}

fn page(path: &str, command: &Command) -> String {
    let title = path.replace(' ', "-");
    let about = if command.long.is_empty() { command.about } else { command.long };
    let mut out = format!(".TH {} 1\n.SH NAME\n{title} \\- {}\n", quoted(&title), escaped(command.about));
    out.push_str(".SH SYNOPSIS\n");
    for form in command.usage.lines() {
        let _ = writeln!(out, ".B {path}\n{}\n.br", escaped(form));
    }
    let _ = write!(out, ".SH DESCRIPTION\n{}\n", escaped(about));
    let flags: Vec<_> = command.flags.iter().filter(|flag| !flag.hidden).collect();
    if !flags.is_empty() {
        out.push_str(".SH OPTIONS\n");
    }
    flags.iter().for_each(|flag| option(&mut out, flag));
    let below: Vec<_> = command.below().iter().filter(|c| c.listed()).collect();
    if !below.is_empty() {
        out.push_str(".SH COMMANDS\n");
    }
    for command in below {
        let page = format!("{title}-{}", command.name);
        let _ = writeln!(out, ".TP\n.BR {page} (1)\n{}", escaped(command.about));
    }
    out
}

fn option(out: &mut String, flag: &Flag) {
    let value = if flag.label.is_empty() { String::new() } else { format!(" \\fI{}\\fR", flag.label) };
    let help = escaped(flag.help).replace('\n', "\n.br\n");
    let _ = writeln!(out, ".TP\n\\fB{}\\fR{value}\n{help}", escaped(&flag.title()));
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.to_uppercase())
}

/// Makes a text safe in the middle of a page: no line of it is taken for a request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.chars().next() {
        Some('.' | '\'') => format!("\\&{line}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::commands::volume;
    use expect_test::expect;

    #[test]
    fn a_page_has_synopsis_and_options() {
        expect![[r#"
            .TH "WHARF-VOLUME-LS" 1
            .SH NAME
            wharf-volume-ls \- List volumes
            .SH SYNOPSIS
            .B wharf volume ls
            [OPTIONS]
            .br
            .SH DESCRIPTION
            List volumes
            .SH OPTIONS
            .TP
            \fB\-f, \-\-filter\fR \fIfilter\fR
            Provide filter values (e.g. "dangling=true")
            .TP
            \fB\-\-format\fR \fIstring\fR
            Format output using a custom template:
            .br
            \&'table':            Print output in table format with column headers (default)
            .br
            \&'table TEMPLATE':   Print output in table format using the given Go template
            .br
            \&'json':             Print in JSON format
            .br
            \&'TEMPLATE':         Print output using the given Go template.
            .br
            Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates
            .TP
            \fB\-q, \-\-quiet\fR
            Only display volume names
        "#]].assert_eq(&page("wharf volume ls", &volume::ls::COMMAND));
    }
}

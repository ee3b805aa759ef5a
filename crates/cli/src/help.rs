//! Help texts in Docker's layout, rendered from the definitions.

use std::{fmt::Write as _, path::Path};

use crate::{
    app,
    command::{Command, Section},
    flag::{Flag, Kind},
    value::quote,
};

/// A command together with the way that led to it.
pub(crate) struct Place<'a> {
    /// The program's name and those of the commands above: `wharf container`; the root's is empty.
    pub(crate) parents: &'a str,
    pub(crate) command: &'a Command,
}

impl Place<'_> {
    /// `wharf container rm`.
    pub(crate) fn path(&self) -> String {
        if self.parents.is_empty() {
            return self.command.name.to_owned();
        }
        format!("{} {}", self.parents, self.command.name)
    }

    /// The usage lines of an error message.
    pub(crate) fn use_line(&self) -> String {
        if !self.command.below().is_empty() {
            return self.path();
        }
        self.usage()
    }

    /// The usage lines of the help text; those behind the first are indented by a tab.
    fn usage(&self) -> String {
        let mut path = self.path();
        let mut lines = Vec::new();
        for form in self.command.usage.lines() {
            lines.push(format!("{path} {form}"));
            // compat: the further forms name the command without its group.
            let program = self.parents.split(' ').next().unwrap_or_default();
            path = format!("{program} {}", self.command.name);
        }
        if lines.is_empty() { path } else { lines.join("\n\t") }
    }
}

/// The columns of the terminal on standard input, or 80.
pub(crate) fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdin())
        .map_or(80, |size| if size.ws_col == 0 { 80 } else { usize::from(size.ws_col) })
}

const EXPERIMENTAL: &str = "is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/";

/// The help text of a command other than the root.
pub(crate) fn command(place: &Place<'_>, program: &str, width: usize) -> String {
    let command = place.command;
    let about = if command.long.is_empty() { command.about } else { command.long };
    let mut out = format!("Usage:  {}\n\n{about}\n", place.usage());
    if command.experimental {
        let _ = write!(out, "\nEXPERIMENTAL:\n  {} {EXPERIMENTAL}\n", place.path());
    }
    if !command.aliases.is_empty() {
        let names: Vec<_> = command.aliases.iter().map(|alias| format!("{program} {alias}")).collect();
        let _ = write!(out, "\nAliases:\n  {}\n", names.join(", "));
    }
    let flags = flag_lines(command, width);
    if !flags.is_empty() {
        let _ = write!(out, "\nOptions:\n{flags}");
    }
    list(&mut out, "Commands", command.below().iter().filter(|c| c.listed()).collect());
    if !command.below().is_empty() {
        let _ = write!(out, "\nRun '{} COMMAND --help' for more information on a command.\n", place.path());
    }
    out
}

/// The help text of the program itself.
pub(crate) fn root(program: &str, config: &Path, width: usize) -> String {
    let mut out =
        format!("Usage:  {program} [OPTIONS] COMMAND\n\nA self-sufficient runtime for containers\n");
    for (title, section) in [
        ("Common Commands", Section::Common),
        ("Management Commands", Section::Management),
        ("Commands", Section::Other),
    ] {
        let mut commands: Vec<_> =
            app::COMMANDS.iter().filter(|c| c.section == section && c.listed()).collect();
        if section != Section::Common {
            commands.sort_by_key(|c| c.name);
        }
        list(&mut out, title, commands);
    }
    let _ = write!(out, "\nGlobal Options:\n{}", lines_of(app::GLOBAL_FLAGS, config, width));
    let _ = write!(out, "\nRun '{program} COMMAND --help' for more information on a command.\n");
    out
}

fn list(out: &mut String, title: &str, commands: Vec<&Command>) {
    let Some(widest) = commands.iter().map(|c| c.name.len()).max() else { return };
    let _ = write!(out, "\n{title}:\n");
    for command in commands {
        let _ = writeln!(out, "  {:1$} {2}", command.name, widest.max(11), command.about);
    }
}

fn flag_lines(command: &Command, width: usize) -> String {
    let mut flags = command.flags.to_vec();
    // compat: `-h` means something else here, so the help names the way to itself.
    if flags.iter().any(|f| f.short == Some('h')) {
        flags.push(Flag::bool("help", "Print usage"));
    }
    lines_of(&flags, Path::new(""), width)
}

fn lines_of(flags: &[Flag], config: &Path, width: usize) -> String {
    let mut flags: Vec<_> = flags.iter().filter(|f| !f.hidden).collect();
    flags.sort_by_key(|f| f.name);
    let heads: Vec<_> = flags.iter().map(|f| head(f)).collect();
    let widest = heads.iter().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    for (flag, head) in flags.iter().zip(heads) {
        let text = wrap(widest + 3, width - 1, &(flag.help.to_owned() + &default(flag, config)));
        let _ = writeln!(out, "{head:widest$}   {text}");
    }
    out
}

fn head(flag: &Flag) -> String {
    let label = if flag.label.is_empty() { String::new() } else { format!(" {}", flag.label) };
    match flag.short {
        Some(short) => format!("  -{short}, --{}{label}", flag.name),
        None => format!("      --{}{label}", flag.name),
    }
}

fn default(flag: &Flag, config: &Path) -> String {
    let path = |file: &str| quote(&config.join(file).to_string_lossy());
    let text = match flag.shown_default {
        None if flag.name == "config" => quote(&config.to_string_lossy()),
        None if flag.name == "tlscacert" => path("ca.pem"),
        None if flag.name == "tlscert" => path("cert.pem"),
        None if flag.name == "tlskey" => path("key.pem"),
        Some(text) => text.to_owned(),
        None if matches!(flag.default, "" | "0" | "0s" | "false") => String::new(),
        None if flag.kind == Kind::One && flag.label == "string" => quote(flag.default),
        None => flag.default.to_owned(),
    };
    if text.is_empty() { text } else { format!(" (default {text})") }
}

/// Breaks `text` into lines of at most `width` columns, those behind the first indented by `indent`. A word
/// that would leave less than five columns over may hang out.
fn wrap(indent: usize, width: usize, text: &str) -> String {
    const SLOP: usize = 5;
    const NARROW: usize = 24;
    let (indent, mut out) =
        if width < indent + NARROW { (16, format!("\n{}", " ".repeat(16))) } else { (indent, String::new()) };
    let pad = format!("\n{}", " ".repeat(indent));
    if width < indent + NARROW {
        return text.replace('\n', &out);
    }
    let room = width - indent - SLOP;
    let (mut line, mut rest) = cut(room, SLOP, text);
    loop {
        out.push_str(&line.replace('\n', &pad));
        if rest.is_empty() {
            return out;
        }
        out.push_str(&pad);
        (line, rest) = cut(room, SLOP, rest);
    }
}

fn cut(room: usize, slop: usize, text: &str) -> (&str, &str) {
    if room + slop > text.len() || !text.is_char_boundary(room) {
        return (text, "");
    }
    let head = &text[..room];
    match (head.rfind([' ', '\t', '\n']), head.rfind('\n')) {
        (None | Some(0), _) => (text, ""),
        (Some(space), Some(line)) if line > 0 && line < space => (&text[..line], &text[line + 1..]),
        (Some(space), _) => (&text[..space], &text[space + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{container, network, system};
    use expect_test::expect;

    fn shown(parents: &str, command: &Command, width: usize) -> String {
        super::command(&Place { parents, command }, "docker", width)
    }

    #[test]
    fn command_with_wrapped_flags() {
        expect![[r#"
            Usage:  docker ps [OPTIONS]

            List containers

            Aliases:
              docker container ls, docker container list, docker container ps, docker ps

            Options:
              -a, --all             Show all containers (default shows just running)
              -f, --filter filter   Filter output based on conditions provided
                  --format string   Format output using a custom template:
                                    'table':            Print output in table format
                                    with column headers (default)
                                    'table TEMPLATE':   Print output in table format
                                    using the given Go template
                                    'json':             Print in JSON format
                                    'TEMPLATE':         Print output using the given
                                    Go template.
                                    Refer to https://docs.docker.com/go/formatting/
                                    for more information about formatting output with
                                    templates
              -n, --last int        Show n last created containers (includes all
                                    states) (default -1)
              -l, --latest          Show the latest created container (includes all
                                    states)
                  --no-trunc        Don't truncate output
              -q, --quiet           Only display container IDs
              -s, --size            Display total file sizes
        "#]]
        .assert_eq(&shown("docker", &container::ls::COMMAND.named("ps"), 80));
    }

    #[test]
    fn command_of_several_forms() {
        expect![[r#"
            Usage:  docker cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-
            	docker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH

            Copy files/folders between a container and the local filesystem

            Use '-' as the source to read a tar archive from stdin
            and extract it to a directory destination in a container.
            Use '-' as the destination to stream a tar archive of a
            container source to stdout.

            Aliases:
              docker container cp, docker cp

            Options:
              -a, --archive       Archive mode (copy all uid/gid information)
              -L, --follow-link   Always follow symbol link in SRC_PATH
              -q, --quiet         Suppress progress output during copy. Progress
                                  output is automatically suppressed if no terminal
                                  is attached
        "#]]
        .assert_eq(&shown("docker", &container::cp::COMMAND, 80));
    }

    #[test]
    fn every_kind_of_default() {
        expect![[r#"
            Usage:  docker network create [OPTIONS] NETWORK

            Create a network

            Options:
                  --attachable           Enable manual container attachment
                  --aux-address map      Auxiliary IPv4 or IPv6 addresses used by
                                         Network driver (default map[])
                  --config-from string   The network from which to copy the configuration
                  --config-only          Create a configuration only network
              -d, --driver string        Driver to manage the Network (default "bridge")
                  --gateway strings      IPv4 or IPv6 Gateway for the master subnet
                  --ingress              Create swarm routing-mesh network
                  --internal             Restrict external access to the network
                  --ip-range strings     Allocate container ip from a sub-range
                  --ipam-driver string   IP Address Management Driver (default "default")
                  --ipam-opt map         Set IPAM driver specific options (default map[])
                  --ipv4                 Enable or disable IPv4 address assignment
                                         (default true)
                  --ipv6                 Enable or disable IPv6 address assignment
                  --label list           Set metadata on a network
              -o, --opt map              Set driver specific options (default map[])
                  --scope string         Control the network's scope
                  --subnet strings       Subnet in CIDR format that represents a
                                         network segment
        "#]]
        .assert_eq(&shown("docker network", &network::create::COMMAND, 80));
    }

    #[test]
    fn narrow_terminals_put_the_text_below() {
        expect![[r#"
            Usage:  docker info [OPTIONS]

            Display system-wide information

            Aliases:
              docker system info, docker info

            Options:
              -f, --format string   Format output using a custom template:
                            'json':             Print in JSON format
                            'TEMPLATE':         Print output using the given Go template.
                            Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates
        "#]]
        .assert_eq(&shown("docker", &system::info::COMMAND, 30));
    }
}

//! `network ls`.

use wharf_api::network::Network;

use crate::{
    Cli, Matches, Result,
    command::Command,
    flag::{FORMAT_HELP, Flag},
    print,
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values (e.g. \"driver=bridge\")").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("no-trunc", "Do not truncate the output"),
    Flag::bool("quiet", "Only display network IDs").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS]", "List networks")
    .other_names(&["list"])
    .aliases(&["network ls", "network list"])
    .flags(FLAGS)
    .run(run);

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (given, quiet) = (m.str("format"), m.bool("quiet"));
    let config = cli.config();
    let given = if given.is_empty() && !quiet { config.text("networksFormat") } else { given };
    if quiet && !matches!(given, "" | "table" | "raw") {
        print::warn("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    let format = match given {
        "raw" if quiet => Format::new("network_id: {{.ID}}", ""),
        _ if quiet => Format::quiet(),
        "raw" => {
            Format::new("network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n", "")
        }
        given => Format::new(given, "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"),
    };
    let client = cli.client()?;
    let mut networks: Vec<Network> = cli.block_on(async { Ok(client.network_list(&m.filters()).await?) })?;
    networks.sort_by_key(|network| natural(&network.name));
    let truncate = !m.bool("no-trunc");
    format.print(HEADINGS, networks.into_iter().map(|network| row(network, truncate)))
}

/// What names are sorted by: texts, and numbers by value, so that `net10` comes after `net9`. Of numbers that
/// differ only in leading zeros the shorter one comes first.
pub(crate) fn natural(name: &str) -> Vec<(String, usize, String, usize)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(text);
        let number = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (digits, tail) = tail.split_at(number);
        let value = digits.trim_start_matches('0');
        parts.push((head.to_owned(), value.len(), value.to_owned(), digits.len()));
        rest = tail;
    }
    parts
}

fn row(network: Network, truncate: bool) -> Row {
    let id = if truncate { render::truncate_id(&network.id).to_owned() } else { network.id };
    let created: Option<jiff::Timestamp> = network.created.parse().ok();
    Row::new("*network.networkContext")
        .with("ID", id)
        .with("Name", network.name)
        .with("Driver", network.driver)
        .with("Scope", network.scope)
        .with("IPv4", network.enable_ipv4.to_string())
        .with("IPv6", network.enable_ipv6.to_string())
        .with("Internal", network.internal.to_string())
        .with("CreatedAt", created.map_or(network.created, render::go_time_nano))
        .labels(network.labels.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_names_count() {
        let mut names = ["net10", "net9", "a", "net9b", "net", "02ee", "2f4b", "6dd1", "1672"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["2f4b", "02ee", "6dd1", "1672", "a", "net", "net9", "net9b", "net10"]);
    }
}

//! `volume ls`.

use wharf_api::volume::{ListResponse, Volume};

use crate::{
    Cli, Matches, Result,
    command::Command,
    commands::network::ls::natural,
    flag::{FORMAT_HELP, Flag},
    print,
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::filter("Provide filter values (e.g. \"dangling=true\")").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("quiet", "Only display volume names").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS]", "List volumes")
    .other_names(&["list"])
    .aliases(&["volume ls", "volume list"])
    .flags(FLAGS)
    .run(run);

/// The headings of the list.
pub(crate) const HEADINGS: &[(&str, &str)] = &[
    ("Name", "VOLUME NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("Availability", "AVAILABILITY"),
    ("Group", "GROUP"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
];

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (given, quiet) = (m.str("format"), m.bool("quiet"));
    let config = cli.config();
    let given = if given.is_empty() && !quiet { config.text("volumesFormat") } else { given };
    if quiet && !matches!(given, "" | "table" | "raw") {
        print::warn("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    let format = match given {
        "raw" if quiet => Format::new("name: {{.Name}}", ""),
        _ if quiet => Format::new("{{.Name}}", ""),
        "raw" => Format::new("name: {{.Name}}\ndriver: {{.Driver}}\n", ""),
        given => Format::new(given, "{{.Driver}}\t{{.Name}}"),
    };
    let client = cli.client()?;
    let list: ListResponse = cli.block_on(async { Ok(client.volume_list(&m.filters()).await?) })?;
    let mut volumes = list.volumes;
    volumes.sort_by_key(|volume| natural(&volume.name));
    format.print(HEADINGS, volumes.into_iter().map(row))
}

/// A volume as templates see it.
pub(crate) fn row(volume: Volume) -> Row {
    let usage = volume.usage_data.unwrap_or(wharf_api::volume::UsageData { ref_count: -1, size: -1 });
    let links = if usage.ref_count == -1 { "N/A".to_owned() } else { usage.ref_count.to_string() };
    let size = if usage.size == -1 { "N/A".to_owned() } else { render::human_size(usage.size as f64) };
    Row::new("*formatter.volumeContext")
        .with("Name", volume.name)
        .with("Driver", volume.driver)
        .with("Scope", volume.scope)
        .with("Mountpoint", volume.mountpoint)
        .with("Availability", "N/A")
        .with("Group", "N/A")
        .with("Status", "N/A")
        .with("Links", links)
        .with("Size", size)
        .labels(volume.labels.unwrap_or_default())
}

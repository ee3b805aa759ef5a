//! `container ls`.

use wharf_api::container::Summary;
use wharf_client::ListOptions;
use wharf_template::Value;

use crate::{
    Cli, Error, Matches, Result,
    command::Command,
    flag::{FORMAT_HELP, Flag},
    print,
    render::{self, Format, Row},
    value::quote,
};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Show all containers (default shows just running)").short('a'),
    Flag::filter("Filter output based on conditions provided").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::int("last", "Show n last created containers (includes all states)").short('n').default("-1"),
    Flag::bool("latest", "Show the latest created container (includes all states)").short('l'),
    Flag::bool("no-trunc", "Don't truncate output"),
    Flag::bool("quiet", "Only display container IDs").short('q'),
    Flag::bool("size", "Display total file sizes").short('s'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS]", "List containers")
    .other_names(&["list", "ps"])
    .aliases(&["container ls", "container list", "container ps", "ps"])
    .flags(FLAGS)
    .run(run);

/// The headings of the list.
pub(crate) const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

const TABLE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n\
    state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\n\
    ports: {{- pad .Ports 1 0}}\n";

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (given, quiet) = (m.str("format"), m.bool("quiet"));
    let config = cli.config();
    let given = if given.is_empty() && !quiet { config.text("psFormat") } else { given };
    if quiet && !matches!(given, "" | "table" | "raw") {
        print::warn("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    let uses_size = given.contains(".Size") || given.contains("json .");
    let size = m.bool("size") || uses_size;
    let format = format(given, quiet, m.bool("size"));
    let limit = if m.bool("latest") && m.int("last") == -1 { 1 } else { m.int("last") };
    check(&format)?;
    let client = cli.client()?;
    let options = ListOptions { all: m.bool("all"), limit, size, filters: m.filters() };
    let containers: Vec<Summary> = cli.block_on(async { Ok(client.container_list(&options).await?) })?;
    let truncate = !m.bool("no-trunc");
    format.print(HEADINGS, containers.into_iter().map(|container| row(container, truncate)))
}

fn format(given: &str, quiet: bool, size: bool) -> Format {
    let table = if size { format!("{TABLE}\t{{{{.Size}}}}") } else { TABLE.to_owned() };
    match given {
        "raw" if quiet => Format::new("container_id: {{.ID}}", ""),
        _ if quiet => Format::quiet(),
        "raw" if size => Format::new(&format!("{RAW}size: {{{{.Size}}}}\n"), ""),
        "raw" => Format::new(RAW, ""),
        given => Format::new(given, &table),
    }
}

/// Refuses a template that does not fit, also where there is nothing to list.
fn check(format: &Format) -> Result<()> {
    match format.render(HEADINGS, [row(Summary::default(), true)]) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let text = text.strip_prefix("template parsing error: ").unwrap_or(&text);
            let step = if text.contains(": executing ") { "execute" } else { "parse" };
            Err(Error::message(format!("failed to {step} template: {text}")))
        }
    }
}

/// A container as templates see it.
pub(crate) fn row(container: Summary, truncate: bool) -> Row {
    let short = |text: String, width: usize| if truncate { render::ellipsis(&text, width) } else { text };
    let id = if truncate { render::truncate_id(&container.id).to_owned() } else { container.id.clone() };
    let mut mounts = Vec::new();
    let mut local_volumes = 0;
    for mount in &container.mounts {
        local_volumes += usize::from(mount.driver == "local");
        let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
        mounts.push(short(name.clone(), 15));
    }
    let networks = container.network_settings.networks.unwrap_or_default();
    Row::new("*formatter.ContainerContext")
        .with("ID", id)
        .with("Names", names(&container.names, truncate))
        .with("Image", image(&container.image, &container.image_id, truncate))
        .with("Command", quote(&short(container.command, 20)))
        .with("CreatedAt", render::go_time(container.created))
        .with("RunningFor", render::age(container.created))
        .with("Ports", render::ports(&container.ports))
        .with("State", container.state)
        .with("Status", container.status)
        .with("Size", size(container.size_rw, container.size_root_fs))
        .with("Mounts", mounts.join(","))
        .with("LocalVolumes", local_volumes.to_string())
        .with("Networks", networks.into_keys().collect::<Vec<_>>().join(","))
        .with("Platform", Value::Nil(wharf_template::Nil::Pointer))
        .labels(container.labels)
}

/// Without the leading slash; names given by links have a second one and are shown in full lists only.
fn names(names: &[String], truncate: bool) -> String {
    let plain = names.iter().map(|name| name.strip_prefix('/').unwrap_or(name));
    plain.filter(|name| !truncate || !name.contains('/')).collect::<Vec<_>>().join(",")
}

fn image(image: &str, id: &str, truncate: bool) -> String {
    if image.is_empty() {
        return "<no image>".to_owned();
    }
    if !truncate {
        return image.to_owned();
    }
    if render::truncate_id(id) == render::truncate_id(image) {
        return render::truncate_id(id).to_owned();
    }
    match image.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => image.to_owned(),
    }
}

fn size(writable: i64, whole: i64) -> String {
    let own = render::human_size_3(writable as f64);
    if whole > 0 { format!("{own} (virtual {})", render::human_size_3(whole as f64)) } else { own }
}

//! `search`.

use wharf_api::image::SearchResult;

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print, registry_auth,
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::filter("Filter output based on conditions provided").short('f'),
    Flag::string("format", "Pretty-print search using a Go template"),
    Flag::int("limit", "Max number of search results"),
    Flag::bool("no-trunc", "Don't truncate output"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("search", "[OPTIONS] TERM", "Search Docker Hub for images")
    .args(Args::Exact(1))
    .flags(FLAGS)
    .run(run);

const HEADINGS: &[(&str, &str)] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
    ("IsAutomated", "AUTOMATED"),
];

/// Columns of a description that is cut.
const WIDTH: usize = 45;

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let filters = m.filters();
    if filters.contains("is-automated") {
        print::warn(
            "WARNING: the \"is-automated\" filter is deprecated, and searching for \"is-automated=true\" will not \
             yield any results in future.",
        );
    }
    let term = m.arg(0);
    let auth = registry_auth::header(&cli.config(), domain(term));
    let client = cli.client()?;
    let found: Vec<SearchResult> =
        cli.block_on(async { Ok(client.image_search(term, m.int("limit"), &filters, &auth).await?) })?;
    let format = Format::new(m.str("format"), "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}");
    let truncate = !m.bool("no-trunc");
    format.print(HEADINGS, found.into_iter().map(|found| row(found, truncate)))
}

/// The registry that a term names before its first slash.
fn domain(term: &str) -> &str {
    match term.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

fn row(found: SearchResult, truncate: bool) -> Row {
    let ok = |yes: bool| if yes { "[OK]" } else { "" }.to_owned();
    let description = found.description.replace(['\n', '\r'], " ");
    let description = if truncate { render::ellipsis(&description, WIDTH) } else { description };
    Row::new("*search.searchContext")
        .with("Name", found.name)
        .with("Description", description)
        .with("StarCount", found.star_count.to_string())
        .with("IsOfficial", ok(found.is_official))
        .with("IsAutomated", ok(found.is_automated))
}

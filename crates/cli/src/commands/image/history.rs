//! `image history`.

use wharf_api::image::HistoryItem;

use crate::{
    Cli, Matches, Result,
    command::{Args, Command},
    flag::{FORMAT_HELP, Flag},
    platform,
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::string("format", FORMAT_HELP),
    Flag::bool("human", "Print sizes and dates in human readable format").short('H').default("true"),
    Flag::bool("no-trunc", "Don't truncate output"),
    Flag::string(
        "platform",
        "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::bool("quiet", "Only show image IDs").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("history", "[OPTIONS] IMAGE", "Show the history of an image")
        .aliases(&["image history", "history"])
        .args(Args::Exact(1))
        .flags(FLAGS)
        .run(run);

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (human, truncate) = (m.bool("human"), !m.bool("no-trunc"));
    let created = if human { "CreatedSince" } else { "CreatedAt" };
    let table =
        format!("{{{{.ID}}}}\t{{{{.{created}}}}}\t{{{{.CreatedBy}}}}\t{{{{.Size}}}}\t{{{{.Comment}}}}");
    let format = match m.str("format") {
        // compat: a template of one's own counts more than --quiet.
        "" | "table" if m.bool("quiet") => Format::quiet(),
        given => Format::new(given, &table),
    };
    let platform = platform::document(m.str("platform"), "invalid platform: ")?;
    let client = cli.client()?;
    let items: Vec<HistoryItem> =
        cli.block_on(async { Ok(client.image_history(m.arg(0), &platform).await?) })?;
    format.print(HEADINGS, items.iter().map(|item| row(item, human, truncate)))
}

fn row(item: &HistoryItem, human: bool, truncate: bool) -> Row {
    let id = if truncate { render::truncate_id(&item.id) } else { &item.id };
    let command = item.created_by.replace('\t', " ");
    let at = jiff::Timestamp::from_second(item.created).unwrap_or_default();
    // compat: a step without a date has no age.
    let since = if item.created <= 0 { "N/A".to_owned() } else { render::age(item.created) };
    Row::new("*image.historyContext")
        .with("ID", id)
        .with("CreatedSince", if human { since } else { at.to_string() })
        .with("CreatedAt", at.to_string())
        .with("CreatedBy", if truncate { render::ellipsis(&command, 45) } else { command })
        .with("Size", if human { render::human_size_3(item.size as f64) } else { item.size.to_string() })
        .with("Comment", item.comment.as_str())
}

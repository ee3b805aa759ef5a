//! `image ls`.

use wharf_api::image::Summary;

use super::tree;
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::{FORMAT_HELP, Flag},
    render::{self, Format, Row},
};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Show all images (default hides intermediate images)").short('a'),
    Flag::bool("digests", "Show digests"),
    Flag::filter("Filter output based on conditions provided").short('f'),
    Flag::string("format", FORMAT_HELP),
    Flag::bool("no-trunc", "Don't truncate output"),
    Flag::bool("quiet", "Only show image IDs").short('q'),
    Flag::bool("tree", "List multi-platform images as a tree (EXPERIMENTAL)"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new("ls", "[OPTIONS] [REPOSITORY[:TAG]]", "List images")
    .other_names(&["list"])
    .aliases(&["image ls", "image list", "images"])
    .args(Args::Max(1))
    .flags(FLAGS)
    .run(run);

/// The headings of the list.
pub(crate) const HEADINGS: &[(&str, &str)] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

const TABLE: &str =
    "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
const TABLE_WITH_DIGESTS: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince}}\
                                  {{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";

const RAW: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\n\
                   virtual_size: {{.Size}}\n";
const RAW_WITH_DIGESTS: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\n\
                                created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (given, quiet, digests) = (m.str("format"), m.bool("quiet"), m.bool("digests"));
    if m.bool("tree") {
        check_tree(m)?;
    }
    let config = cli.config();
    let given = if given.is_empty() && !quiet { config.text("imagesFormat") } else { given };
    let format = format(given, quiet, digests);
    let mut filters = m.filters();
    if !m.arg(0).is_empty() {
        filters.add("reference", m.arg(0));
    }
    let client = cli.client()?;
    let images: Vec<Summary> =
        cli.block_on(async { Ok(client.image_list(m.bool("all"), &filters).await?) })?;
    if m.bool("tree") {
        tree::print(&images, m.bool("all"));
        return Ok(());
    }
    let by_digest = digests || given.contains("{{.Digest}}");
    let truncate = !m.bool("no-trunc");
    let mut rows = Vec::new();
    for image in &images {
        for name in names(image, by_digest) {
            rows.push(row(image, name, truncate));
        }
    }
    format.print(HEADINGS, rows)
}

fn format(given: &str, quiet: bool, digests: bool) -> Format {
    match given {
        // compat: a template of one's own counts more than --quiet.
        "" | "table" if quiet => Format::quiet(),
        "raw" if quiet => Format::new("image_id: {{.ID}}", ""),
        "raw" => Format::new(if digests { RAW_WITH_DIGESTS } else { RAW }, ""),
        given => Format::new(given, if digests { TABLE_WITH_DIGESTS } else { TABLE }),
    }
}

/// Refuses what has no meaning together with `--tree`.
fn check_tree(m: &Matches) -> Result<()> {
    let given = [
        (m.bool("quiet"), "--quiet"),
        (m.bool("no-trunc"), "--no-trunc"),
        (m.bool("digests"), "--show-digest"),
        (!m.str("format").is_empty(), "--format"),
    ];
    match given.into_iter().find(|(given, _)| *given) {
        Some((_, flag)) => Err(Error::message(format!("{flag} is not yet supported with --tree"))),
        None => Ok(()),
    }
}

/// A repository, a tag and a digest; what is missing reads `<none>`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    repository: String,
    tag: String,
    digest: String,
}

/// One line for each tag of an image, and one for each repository where it has only a digest.
pub(crate) fn names(image: &Summary, by_digest: bool) -> Vec<Name> {
    const NONE: &str = "<none>";
    let name = |repository: &str, tag: &str, digest: &str| Name {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
    };
    let tags: Vec<_> = image.repo_tags.iter().flatten().filter_map(|t| t.rsplit_once(':')).collect();
    let digests: Vec<_> = image.repo_digests.iter().flatten().filter_map(|d| d.split_once('@')).collect();
    if tags.iter().all(|(repository, _)| *repository == NONE) && digests.is_empty() {
        return vec![name(NONE, NONE, NONE)];
    }
    let mut names = Vec::new();
    for (repository, tag) in &tags {
        let own: Vec<_> =
            digests.iter().filter(|(r, _)| r == repository).map(|(_, digest)| *digest).collect();
        if !by_digest || own.is_empty() {
            names.push(name(repository, tag, NONE));
            continue;
        }
        names.extend(own.into_iter().map(|digest| name(repository, tag, digest)));
    }
    for (repository, digest) in digests {
        if !tags.iter().any(|(r, _)| *r == repository) {
            let shown = if by_digest { digest } else { NONE };
            let line = name(repository, NONE, shown);
            if !names.contains(&line) {
                names.push(line);
            }
        }
    }
    names
}

/// Go's zero time, in seconds since the epoch.
const NEVER: i64 = -62_135_596_800;

/// An image under one of its names as templates see it.
pub(crate) fn row(image: &Summary, name: Name, truncate: bool) -> Row {
    let (size, shared, created) = (image.size, image.shared_size, image.created);
    let unique = if shared == -1 { -1 } else { size - shared };
    let containers = if image.containers == -1 { "N/A".to_owned() } else { image.containers.to_string() };
    let id = if truncate { render::truncate_id(&image.id) } else { &image.id };
    Row::new("*formatter.imageContext")
        .with("ID", id)
        .with("Repository", name.repository)
        .with("Tag", name.tag)
        .with("Digest", name.digest)
        .with_made(
            "CreatedSince",
            move || if created == NEVER { String::new() } else { render::age(created) },
        )
        .with_made("CreatedAt", move || render::go_time(created))
        .with_made("Size", move || render::human_size_3(size as f64))
        .with("Containers", containers)
        .with_made("VirtualSize", move || known_size(size))
        .with_made("SharedSize", move || known_size(shared))
        .with_made("UniqueSize", move || known_size(unique))
}

/// A size in words; -1 is one that the engine did not tell.
fn known_size(bytes: i64) -> String {
    if bytes == -1 { "N/A".to_owned() } else { render::human_size(bytes as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(tags: &[&str], digests: &[&str], by_digest: bool) -> Vec<String> {
        let texts = |list: &[&str]| Some(list.iter().map(|t| (*t).to_owned()).collect());
        let image = Summary { repo_tags: texts(tags), repo_digests: texts(digests), ..Summary::default() };
        let shown = |n: Name| format!("{} {} {}", n.repository, n.tag, n.digest);
        names(&image, by_digest).into_iter().map(shown).collect()
    }

    #[test]
    fn a_line_for_each_name() {
        assert_eq!(lines(&[], &[], false), ["<none> <none> <none>"]);
        assert_eq!(lines(&["h:5000/a:1", "b:2"], &[], false), ["h:5000/a 1 <none>", "b 2 <none>"]);
        assert_eq!(lines(&["a:1"], &["a@sha256:0"], false), ["a 1 <none>"]);
        assert_eq!(lines(&["a:1"], &["a@sha256:0"], true), ["a 1 sha256:0"]);
        assert_eq!(lines(&["a:1"], &["b@sha256:0"], false), ["a 1 <none>", "b <none> <none>"]);
        assert_eq!(lines(&[], &["b@sha256:0"], true), ["b <none> sha256:0"]);
    }
}

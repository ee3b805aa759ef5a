//! What `inspect` of every kind of object has in common: documents as they are, or through a template.

mod typed;

use serde_json::Value as Json;
use wharf_client::Client;
use wharf_template::Template;

pub(crate) use self::typed::{typed, typed_as};
use crate::{Error, Result, print};

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

impl Kind {
    /// The document of one object.
    ///
    /// # Errors
    /// The engine does not know it.
    pub(crate) async fn fetch(self, client: &Client, name: &str, size: bool) -> Result<Json> {
        Ok(match self {
            Self::Container => client.container_inspect(name, size).await?,
            Self::Image => client.image_inspect(name, "").await?,
            Self::Network => client.network_inspect(name, false).await?,
            Self::Volume => client.volume_inspect(name).await?,
        })
    }
}

/// How the documents are shown.
pub(crate) enum Output {
    Indented,
    Json,
    Template(Template),
}

impl Output {
    /// Reads `--format`.
    ///
    /// # Errors
    /// The template is malformed; the exit status is 64.
    pub(crate) fn new(format: &str) -> Result<Self> {
        match format {
            "" => Ok(Self::Indented),
            "json" => Ok(Self::Json),
            source => Template::parse(source).map(Self::Template).map_err(template_error),
        }
    }

    /// Prints what was found, then reports what was not.
    ///
    /// # Errors
    /// The failed ones, or what the template did not fit.
    pub(crate) fn show(&self, found: Vec<Result<Json>>) -> Result<()> {
        let (mut documents, mut text, mut errors) = (Vec::new(), String::new(), Vec::new());
        for result in found {
            match (result, self) {
                (Ok(document), Self::Template(template)) => match template.render_value(&typed(&document)) {
                    Ok(shown) => {
                        text.push_str(&shown);
                        text.push('\n');
                    }
                    Err(error) => {
                        errors.push(Error::message(format!("template parsing error: {error}")));
                    }
                },
                (Ok(document), _) => documents.push(document),
                (Err(error), _) => errors.push(error),
            }
        }
        match self {
            Self::Indented => print::out(&indented(&documents)),
            Self::Json => print::line(&serde_json::to_string(&documents).unwrap_or_default()),
            Self::Template(_) => print::out(if text.is_empty() { "\n" } else { &text }),
        }
        Error::join(errors)
    }
}

/// A malformed template where a single document is shown.
pub(crate) fn template_error(error: wharf_template::Error) -> Error {
    Error::Status { text: format!("template parsing error: {error}"), code: 64 }
}

/// A list of documents, indented by four blanks.
fn indented(documents: &[Json]) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    if serde::Serialize::serialize(documents, &mut serializer).is_err() {
        return "[]\n".to_owned();
    }
    out.push(b'\n');
    String::from_utf8(out).unwrap_or_default()
}

/// Inspects objects of one kind.
///
/// # Errors
/// What was not found, or a malformed template.
pub(crate) fn run(cli: &crate::Cli, kind: Kind, names: &[String], format: &str, size: bool) -> Result<()> {
    run_with(cli, names, format, async |client, name| kind.fetch(client, name, size).await)
}

/// Inspects what `fetch` finds by each of the names.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_with(
    cli: &crate::Cli,
    names: &[String],
    format: &str,
    fetch: impl AsyncFn(&Client, &str) -> Result<Json>,
) -> Result<()> {
    let output = Output::new(format)?;
    let client = cli.client()?;
    let found = cli.block_on(async {
        let mut found = Vec::new();
        for name in names {
            found.push(fetch(&client, name).await);
        }
        Ok(found)
    })?;
    output.show(found)
}

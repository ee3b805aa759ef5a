//! What `inspect` of every kind of object has in common: documents as they are, or through a template.

mod image;
mod typed;

use serde_json::value::RawValue;
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
    /// The document of one object, letter for letter.
    ///
    /// # Errors
    /// The engine does not know it.
    pub(crate) async fn fetch(self, client: &Client, name: &str, size: bool) -> Result<Box<RawValue>> {
        Ok(match self {
            Self::Container => client.container_inspect(name, size).await?,
            Self::Image => image(client, name, "").await?,
            Self::Network => client.network_inspect(name, false).await?,
            Self::Volume => client.volume_inspect(name).await?,
        })
    }
}

/// The document of an image for a platform, itself a document or empty.
///
/// # Errors
/// There is no such image.
pub(crate) async fn image(client: &Client, name: &str, platform: &str) -> Result<Box<RawValue>> {
    if name.is_empty() {
        return Err(Error::message("Error: No such image: "));
    }
    Ok(client.image_inspect(name, platform).await?)
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
    pub(crate) fn show(&self, found: Vec<Result<Box<RawValue>>>) -> Result<()> {
        let (mut documents, mut text, mut errors) = (Vec::new(), String::new(), Vec::new());
        for result in found {
            match (result, self) {
                (Ok(document), Self::Template(template)) => match through(template, &document) {
                    Ok(shown) => {
                        text.push_str(&shown);
                        text.push('\n');
                    }
                    Err(error) => errors.push(error),
                },
                (Ok(document), _) => documents.push(document),
                (Err(error), _) => errors.push(error),
            }
        }
        match self {
            Self::Indented => print::out(&indented(&documents)),
            Self::Json => print::line(&format!("[{}]", joined(&documents))),
            Self::Template(_) => print::out(if text.is_empty() { "\n" } else { &text }),
        }
        Error::join(errors)
    }
}

/// A malformed template where a single document is shown.
pub(crate) fn template_error(error: wharf_template::Error) -> Error {
    Error::Status { text: format!("template parsing error: {error}"), code: 64 }
}

fn through(template: &Template, document: &RawValue) -> Result<String> {
    let document = serde_json::from_str(document.get()).map_err(|error| Error::message(error.to_string()))?;
    let shown = template.render_value(&typed(&document));
    shown.map_err(|error| Error::message(format!("template parsing error: {error}")))
}

fn joined(documents: &[Box<RawValue>]) -> String {
    documents.iter().map(|document| document.get()).collect::<Vec<_>>().join(",")
}

/// A list of documents, indented by four blanks, their texts and numbers left as they are written.
fn indented(documents: &[Box<RawValue>]) -> String {
    let compact = format!("[{}]", joined(documents));
    let (mut out, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    };
    let mut rest = compact.chars().peekable();
    while let Some(c) = rest.next() {
        if quoted {
            out.push(c);
            (quoted, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                match rest.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out.push('\n');
    out
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
    fetch: impl AsyncFn(&Client, &str) -> Result<Box<RawValue>>,
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn documents_stay_as_they_were_written() {
        let text = r#"{"b":"\u003ca\\\"{,","a":1.50,"empty":{},"none":[],"list":[1,{"x":null}]}"#;
        let document: Box<RawValue> = serde_json::from_str(text).unwrap();
        let lines = [
            "[",
            "    {",
            r#"        "b": "\u003ca\\\"{,","#,
            r#"        "a": 1.50,"#,
            r#"        "empty": {},"#,
            r#"        "none": [],"#,
            r#"        "list": ["#,
            "            1,",
            "            {",
            r#"                "x": null"#,
            "            }",
            "        ]",
            "    }",
            "]",
            "",
        ];
        assert_eq!(indented(&[document]), lines.join("\n"));
        assert_eq!(indented(&[]), "[]\n");
    }
}

//! `--format` of the lists: `table`, `table TEMPLATE`, `json` or a template.

use std::sync::Arc;

use wharf_template::{Template, Value};

use super::{
    row::{Headings, Row},
    table,
};
use crate::{Error, Result, print};

/// How a list is printed.
#[derive(Debug)]
pub(crate) struct Format {
    source: String,
    is_table: bool,
}

impl Format {
    /// Reads the value of `--format`; `default` is the template of the plain table, its columns separated by
    /// tabs.
    pub(crate) fn new(given: &str, default: &str) -> Self {
        let unescape = |text: &str| text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        match given {
            "" | "table" => Self { source: default.to_owned(), is_table: true },
            "json" => Self { source: "{{json .}}".to_owned(), is_table: false },
            text => match text.strip_prefix("table") {
                Some(text) => Self { source: unescape(text.trim()), is_table: true },
                None => Self { source: unescape(text), is_table: false },
            },
        }
    }

    /// Ids only: `--quiet`.
    pub(crate) fn quiet() -> Self {
        Self { source: "{{.ID}}".to_owned(), is_table: false }
    }

    /// The whole list as text.
    ///
    /// # Errors
    /// The template is malformed or does not fit.
    pub(crate) fn render(
        &self,
        headings: &'static [(&'static str, &'static str)],
        rows: impl IntoIterator<Item = Row>,
    ) -> Result<String> {
        let parsed = parse(&self.source)?;
        let mut text = String::new();
        let failed = |error| Error::message(format!("template parsing error: {error}"));
        if self.is_table {
            let heading = Value::Object(Arc::new(Headings(headings)));
            text.push_str(&parsed.clone().for_header().render_value(&heading).map_err(failed)?);
            text.push('\n');
        }
        for row in rows {
            text.push_str(&parsed.render_value(&row.value()).map_err(failed)?);
            text.push('\n');
        }
        Ok(if self.is_table { table(&text, 10) } else { text })
    }

    /// Prints the list.
    ///
    /// # Errors
    /// As [`Format::render`].
    pub(crate) fn print(
        &self,
        headings: &'static [(&'static str, &'static str)],
        rows: impl IntoIterator<Item = Row>,
    ) -> Result<()> {
        print::out(&self.render(headings, rows)?);
        Ok(())
    }
}

fn parse(source: &str) -> Result<Template> {
    Template::parse(source).map_err(|error| Error::message(format!("template parsing error: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const HEADINGS: &[(&str, &str)] = &[("ID", "CONTAINER ID"), ("Names", "NAMES"), ("Labels", "LABELS")];

    fn render(format: &str) -> String {
        let row = |id: &str, name: &str| {
            let labels = BTreeMap::from([("com.x.my-key".to_owned(), format!("{name}!"))]);
            Row::new("*formatter.ContainerContext").with("ID", id).with("Names", name).labels(labels)
        };
        let rows = [row("9cc2", "web"), row("1", "a rather long name")];
        match Format::new(format, "table {{.ID}}\t{{.Names}}").render(HEADINGS, rows) {
            Ok(text) => text,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_form() {
        assert_eq!(render("{{.ID}}"), "9cc2\n1\n");
        assert_eq!(
            render("table {{upper .Names}}\\t{{.Label \"com.x.my-key\"}}"),
            "NAMES                my key\nWEB                  web!\nA RATHER LONG NAME   a rather long name!\n"
        );
        assert_eq!(
            render("json").lines().next().unwrap(),
            r#"{"ID":"9cc2","Labels":"com.x.my-key=web!","Names":"web"}"#
        );
        assert_eq!(render("tablex {{.ID}}"), "x CONTAINER ID\nx 9cc2\nx 1\n");
    }

    #[test]
    fn errors() {
        assert_eq!(
            render("{{.Nope}}"),
            r#"template parsing error: template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type *formatter.ContainerContext"#
        );
        assert_eq!(render("{{.ID"), "template parsing error: template: :1: unclosed action");
        assert_eq!(
            render("{{.Label}}"),
            r#"template parsing error: template: :1:2: executing "" at <.Label>: wrong number of args for Label: want 1 got 0"#
        );
        assert_eq!(
            render("{{.ID \"x\"}}"),
            r#"template parsing error: template: :1:2: executing "" at <.ID>: wrong number of args for ID: want 0 got 1"#
        );
    }
}

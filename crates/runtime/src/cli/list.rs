//! `list`.

use std::process::ExitCode;

use super::flags::Flags;
use super::state::Document;
use super::{Context, Failure, print, print_json};
use crate::error::Error;
use crate::state::Container;

pub(super) fn run(context: &Context, args: Vec<String>) -> Result<ExitCode, Failure> {
    let flags = Flags::parse(&[("format", Some('f'), true), ("quiet", Some('q'), false)], args)?;
    let ids = Container::list(&context.root);
    if flags.is_set("quiet") {
        return Ok(print(&ids.iter().map(|id| format!("{id}\n")).collect::<String>()));
    }
    // One that is deleted meanwhile is not listed.
    let documents: Vec<Document> = ids
        .iter()
        .filter_map(|id| Container::open(&context.root, id).ok())
        .map(|c| Document::of(&c))
        .collect();
    match flags.value("format").unwrap_or("table") {
        "json" => Ok(print_json(&documents)),
        "table" => Ok(print(&table(&documents))),
        _ => Err(Error::Config("invalid format option".into()).into()),
    }
}

fn table(documents: &[Document]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(documents.iter().map(Document::row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(9) + 3;
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: String = widths.iter().zip(row).map(|(width, cell)| format!("{cell:<width$}")).collect();
        format!("{cells}{}\n", row[5])
    };
    rows.iter().map(line).collect()
}

//! Text for people: tables, units, templates over rows, progress.

mod document;
mod format;
mod ports;
mod progress;
mod row;
mod table;
mod text;
mod units;

pub(crate) use self::{
    document::Document,
    format::Format,
    ports::ports,
    progress::Display,
    row::Row,
    table::{table, table_padded},
    text::{ellipsis, go_time, go_time_nano, label_list, truncate_id},
    units::{age, bytes_size, human_size, human_size_3},
};

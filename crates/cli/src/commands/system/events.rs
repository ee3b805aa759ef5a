//! `system events`.

use crate::{
    command::Command,
    flag::{Flag, INSPECT_FORMAT_HELP},
};

static FLAGS: &[Flag] = &[
    Flag::filter("Filter output based on conditions provided").short('f'),
    Flag::string("format", INSPECT_FORMAT_HELP),
    Flag::string("since", "Show all events created since timestamp"),
    Flag::string("until", "Stream events until this timestamp"),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("events", "[OPTIONS]", "Get real time events from the server")
        .aliases(&["system events", "events"])
        .flags(FLAGS);

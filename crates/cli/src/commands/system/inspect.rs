//! `inspect`: objects of any kind.

use serde_json::value::RawValue;
use wharf_client::Client;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::{Flag, INSPECT_FORMAT_HELP},
    inspect::{Kind, Output},
    print,
    value::quote,
};

static FLAGS: &[Flag] = &[
    Flag::string("format", INSPECT_FORMAT_HELP).short('f'),
    Flag::bool("size", "Display total file sizes if the type is container").short('s'),
    Flag::string("type", "Only inspect objects of the given type"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] NAME|ID [NAME|ID...]",
    "Return low-level information on Docker objects",
)
.args(Args::Min(1))
.flags(FLAGS)
.run(run);

/// The order in which a name is tried.
const ORDER: [(&str, Kind); 4] = [
    ("container", Kind::Container),
    ("image", Kind::Image),
    ("network", Kind::Network),
    ("volume", Kind::Volume),
];

/// Kinds of Docker's that no engine of ours has.
const ABSENT: [&str; 6] = ["config", "node", "plugin", "secret", "service", "task"];

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let kinds = kinds(m.opt("type"))?;
    let output = Output::new(m.str("format"))?;
    let client = cli.client()?;
    let found = cli.block_on(async {
        let mut found = Vec::new();
        for name in m.args() {
            found.push(find(&client, &kinds, name, m.bool("size")).await);
        }
        Ok(found)
    })?;
    output.show(found)
}

fn kinds(wanted: Option<&str>) -> Result<Vec<(&'static str, Kind)>> {
    let Some(wanted) = wanted else { return Ok(ORDER.to_vec()) };
    if let Some(found) = ORDER.iter().find(|(name, _)| *name == wanted) {
        return Ok(vec![*found]);
    }
    if ABSENT.contains(&wanted) {
        return Err(Error::message(format!(
            "objects of type {} are not supported by this version",
            quote(wanted)
        )));
    }
    let mut names: Vec<_> = ORDER.iter().map(|(name, _)| *name).chain(ABSENT).collect();
    names.sort_unstable();
    let names: Vec<_> = names.into_iter().map(quote).collect();
    let what = if wanted.is_empty() {
        "type is empty".to_owned()
    } else {
        format!("unknown type: {}", quote(wanted))
    };
    Err(Error::message(format!("{what}: must be one of {}", names.join(", "))))
}

async fn find(client: &Client, kinds: &[(&str, Kind)], name: &str, size: bool) -> Result<Box<RawValue>> {
    for (kind_name, kind) in kinds {
        match kind.fetch(client, name, size).await {
            Err(error) if kinds.len() > 1 && skippable(&error) => {}
            Err(error) => return Err(error),
            Ok(document) => {
                if size && *kind != Kind::Container {
                    print::warn(&format!("WARNING: --size ignored for {kind_name}"));
                }
                return Ok(document);
            }
        }
    }
    Err(Error::message(format!("Error: No such object: {name}")))
}

/// The name may still be that of another kind of object.
fn skippable(error: &Error) -> bool {
    error.is_not_found() || error.to_string().contains("invalid reference format")
}

//! `manifest inspect`.

use super::{
    entry::{self, Entry},
    json,
    lists::{self, Lists},
    reference,
    remote::{self, Found},
};
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::bool("insecure", "Allow communication with an insecure registry"),
    Flag::bool("verbose", "Output additional info including layers and platform").short('v'),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "inspect",
    "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    "Display an image manifest, or manifest list",
)
.args(Args::Range(1, 2))
.flags(FLAGS)
.experimental()
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let lists = Lists::of(cli);
    let name = reference(m.arg(m.args().len() - 1))?;
    let verbose = m.bool("verbose");
    if m.args().len() == 2 {
        let entry = lists.entry(&reference(m.arg(0))?, &name)?;
        return show(&entry.ok_or_else(|| lists::unknown(&name))?, verbose);
    }
    // compat: a list in the making hides what the registry has. One that cannot be read does not.
    let found = match lists.list(&name) {
        Ok(Some(entries)) => Found::List(entries),
        _ => cli.block_on(remote::fetch(cli, &name, m.bool("insecure")))?,
    };
    match found {
        Found::Manifest(entry) => show(&entry, verbose),
        Found::List(entries) if verbose => {
            let documents: Vec<String> = entries.iter().map(Entry::document).collect::<Result<_>>()?;
            print::line(&json::indented(format!("[{}]", documents.join(",")).as_bytes(), "\t"));
            Ok(())
        }
        Found::List(entries) => {
            let (_, list) = entry::list(&name, &entries)
                .map_err(|error| Error::message(format!("failed to assemble ManifestDescriptor: {error}")))?;
            print::line(&list);
            Ok(())
        }
    }
}

fn show(entry: &Entry, verbose: bool) -> Result<()> {
    print::line(&match verbose {
        true => json::indented(entry.document()?.as_bytes(), "\t"),
        false => json::indented(&entry.body, "\t"),
    });
    Ok(())
}

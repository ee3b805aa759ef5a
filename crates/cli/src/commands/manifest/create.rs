//! `manifest create`.

use super::{lists::Lists, reference, remote};
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::bool("amend", "Amend an existing manifest list").short('a'),
    Flag::bool("insecure", "Allow communication with an insecure registry"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "create",
    "MANIFEST_LIST MANIFEST [MANIFEST...]",
    "Create a local manifest list for annotating and pushing to a registry",
)
.args(Args::Min(2))
.flags(FLAGS)
.experimental()
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let target = reference(m.arg(0)).map_err(|error| {
        Error::message(format!("error parsing name for manifest list {}: {error}", m.arg(0)))
    })?;
    let lists = Lists::of(cli);
    if lists.list(&target)?.is_some() && !m.bool("amend") {
        return Err(Error::message("refusing to amend an existing manifest list with no --amend flag"));
    }
    cli.block_on(async {
        for name in &m.args()[1..] {
            let name = reference(name)?;
            // One that the list has keeps what it was annotated with.
            if lists.entry(&target, &name)?.is_none() {
                let entry = remote::manifest(cli, &name, m.bool("insecure")).await?;
                lists.save(&target, &name, &entry)?;
            }
        }
        Ok(())
    })?;
    print::line(&format!("Created manifest list {target}"));
    Ok(())
}

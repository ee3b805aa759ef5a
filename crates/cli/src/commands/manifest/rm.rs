//! `manifest rm`.

use super::{lists::Lists, reference};
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "rm",
    "MANIFEST_LIST [MANIFEST_LIST...]",
    "Delete one or more manifest lists from local storage",
)
.args(Args::Min(1))
.experimental()
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let lists = Lists::of(cli);
    let removed = m.args().iter().map(|name| lists.remove(&reference(name)?));
    Error::join(removed.filter_map(Result::err).collect())
}

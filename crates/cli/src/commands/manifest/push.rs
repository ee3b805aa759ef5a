//! `manifest push`.

use super::{
    entry,
    lists::{self, Lists},
    reference, remote,
};
use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::bool("insecure", "Allow push to an insecure registry"),
    Flag::bool("purge", "Remove the local manifest list after push").short('p'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("push", "[OPTIONS] MANIFEST_LIST", "Push a manifest list to a repository")
        .args(Args::Exact(1))
        .flags(FLAGS)
        .experimental()
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (target, lists) = (reference(m.arg(0))?, Lists::of(cli));
    let entries = lists.list(&target)?.ok_or_else(|| lists::unknown(&target))?;
    if entries.is_empty() {
        return Err(Error::message(format!("{target} not found")));
    }
    for entry in &entries {
        let platform = entry.descriptor.platform.as_ref();
        if platform.is_none_or(|platform| platform.architecture.is_empty() || platform.os.is_empty()) {
            return Err(Error::message(format!(
                "manifest {} must have an OS and Architecture to be pushed to a registry",
                entry.reference
            )));
        }
    }
    let (media_type, list) = entry::list(&target, &entries)?;
    let name = target.digest().map_or_else(|| target.tag().unwrap_or_default(), |digest| digest.as_str());
    cli.block_on(async {
        let repository = remote::writable(cli, &target, m.bool("insecure")).await?;
        for entry in entries.iter().filter(|entry| entry.reference.path() != target.path()) {
            let digest = remote::adopt(&repository, &target, entry).await?;
            print::line(&format!("Pushed ref {}@{digest} with digest: {digest}", target.name()));
        }
        let digest = remote::put(&repository, &target, name, media_type, list.as_bytes()).await?;
        print::line(digest.as_str());
        Ok(())
    })?;
    if m.bool("purge") { lists.remove(&target) } else { Ok(()) }
}

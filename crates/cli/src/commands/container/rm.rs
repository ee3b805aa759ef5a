//! `container rm`.

use wharf_client::RemoveOptions;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::bool("force", "Force the removal of a running container (uses SIGKILL)").short('f'),
    Flag::bool("link", "Remove the specified link").short('l'),
    Flag::bool("volumes", "Remove anonymous volumes associated with the container").short('v'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("rm", "[OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers")
        .other_names(&["remove"])
        .aliases(&["container rm", "container remove", "rm"])
        .args(Args::Min(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let options = RemoveOptions { volumes: m.bool("volumes"), link: m.bool("link"), force: m.bool("force") };
    let client = cli.client()?;
    cli.block_on(async {
        let mut errors = Vec::new();
        for name in m.args() {
            if name.is_empty() {
                errors.push(Error::message("container name cannot be empty"));
                continue;
            }
            let name = name.trim_matches('/');
            match client.container_remove(name, options).await.map_err(Error::from) {
                Ok(()) => print::line(name),
                // compat: with --force what is gone already is reported, but no failure.
                Err(error) if options.force && error.is_not_found() => print::warn(&error.to_string()),
                Err(error) => errors.push(error),
            }
        }
        Error::join(errors)
    })
}

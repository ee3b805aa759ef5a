//! `volume create`.

use wharf_api::volume::{CreateRequest, Volume};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    commands::network::create::pairs,
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::string("driver", "Specify volume driver name").short('d').default("local"),
    Flag::list("label", "Set metadata for a volume"),
    // compat: the name used to be a flag.
    Flag::string("name", "Specify volume name").hidden(),
    Flag::map("opt", "Set driver specific options").short('o'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("create", "[OPTIONS] [VOLUME]", "Create a volume").args(Args::Max(1)).flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let name = match (m.arg(0), m.str("name")) {
        (name, "") | ("", name) => name,
        _ => {
            let text = "conflicting options: cannot specify a volume-name through both --name and as a positional arg";
            return Err(Error::message(text));
        }
    };
    let request = CreateRequest {
        name: name.to_owned(),
        driver: m.str("driver").to_owned(),
        driver_opts: pairs(&m.list("opt")),
        labels: pairs(&m.list("label")),
    };
    let client = cli.client()?;
    let volume: Volume = cli.block_on(async { Ok(client.volume_create(&request).await?) })?;
    print::line(&volume.name);
    Ok(())
}

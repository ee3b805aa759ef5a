//! `image import`.

use wharf_client::ImportOptions;
use wharf_oci::Reference;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    output, progress,
};

static FLAGS: &[Flag] = &[
    Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
    Flag::string("message", "Set commit message for imported image").short('m'),
    Flag::string("platform", "Set platform if server is multi-platform capable"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "import",
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
)
.aliases(&["image import", "import"])
.args(Args::Min(1))
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (source, name) = (m.arg(0), m.arg(1));
    if !name.is_empty() {
        Reference::parse(name).map_err(|error| Error::message(error.to_string()))?;
    }
    let remote = source.starts_with("http://") || source.starts_with("https://");
    let options = ImportOptions {
        source: if remote { source } else { "-" }.to_owned(),
        repository: name.to_owned(),
        message: m.str("message").to_owned(),
        changes: m.list("change"),
        platform: m.str("platform").to_owned(),
        ..ImportOptions::default()
    };
    cli.block_on(async {
        let archive = if remote { None } else { Some(output::open(source).await?) };
        let messages = cli.client()?.image_import(&options, archive).await?;
        progress::show(messages).await
    })
}

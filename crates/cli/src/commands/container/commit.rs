//! `container commit`.

use serde_json::Value as Json;
use wharf_client::CommitOptions;
use wharf_oci::Reference;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print,
};

static FLAGS: &[Flag] = &[
    Flag::string("author", "Author (e.g., \"Jane Doe <jane@example.com>\")").short('a'),
    Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
    Flag::string("message", "Commit message").short('m'),
    Flag::bool("pause", "Pause container during commit").short('p').default("true"),
];

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "commit",
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
)
.aliases(&["container commit", "commit"])
.args(Args::Range(1, 2))
.flags(FLAGS)
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let reference = match m.arg(1) {
        "" => None,
        name => {
            let named = Reference::parse(name).map_err(|error| Error::message(error.to_string()))?;
            if named.digest().is_some() {
                return Err(Error::message("refusing to create a tag with a digest reference"));
            }
            let tag = named.clone().with_default_tag().tag().unwrap_or_default().to_owned();
            Some((named.familiar_name(), tag))
        }
    };
    let options = CommitOptions {
        reference,
        comment: m.str("message").to_owned(),
        author: m.str("author").to_owned(),
        changes: m.list("change"),
        no_pause: !m.bool("pause"),
    };
    let client = cli.client()?;
    cli.block_on(async {
        let created: Json = client.container_commit(m.arg(0), &options, &Json::Null).await?;
        print::line(created.get("Id").and_then(Json::as_str).unwrap_or_default());
        Ok(())
    })
}

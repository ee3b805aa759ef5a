//! `image tag`.

use wharf_oci::Reference;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    value::quote,
};

/// The definition.
pub(crate) const COMMAND: Command = Command::new(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
)
.aliases(&["image tag", "tag"])
.args(Args::Exact(2))
.trailing()
.run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (source, target) = (m.arg(0), m.arg(1));
    let parse = |text: &str| {
        Reference::parse(text).map_err(|why| {
            let quoted = quote(text);
            Error::message(format!("Error parsing reference: {quoted} is not a valid repository/tag: {why}"))
        })
    };
    parse(source)?;
    let target = parse(target)?;
    if target.digest().is_some() {
        return Err(Error::message("refusing to create a tag with a digest reference"));
    }
    let target = target.with_default_tag();
    let client = cli.client()?;
    cli.block_on(async {
        let tag = target.tag().unwrap_or_default();
        Ok(client.image_tag(source, &target.familiar_name(), tag).await?)
    })
}

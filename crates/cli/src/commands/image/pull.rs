//! `image pull`.

use wharf_client::{Client, PullOptions};
use wharf_oci::Reference;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print, progress, registry_auth, value,
};

static FLAGS: &[Flag] = &[
    Flag::bool("all-tags", "Download all tagged images in the repository").short('a'),
    Flag::bool("disable-content-trust", "Skip image verification")
        .default("true")
        .check(value::check_content_trust),
    Flag::string("platform", "Set platform if server is multi-platform capable"),
    Flag::bool("quiet", "Suppress verbose output").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("pull", "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry")
        .aliases(&["image pull", "pull"])
        .args(Args::Exact(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let name = m.arg(0);
    let reference = Reference::parse(name).map_err(|error| Error::message(error.to_string()))?;
    let (all, quiet) = (m.bool("all-tags"), m.bool("quiet"));
    if all && !reference.is_name_only() {
        return Err(Error::message("tag can't be used with --all-tags/-a"));
    }
    let tagged = if all { reference } else { reference.clone().with_default_tag() };
    if !all && !quiet && Reference::parse(name).is_ok_and(|given| given.is_name_only()) {
        print::line(&format!("Using default tag: {}", tagged.tag().unwrap_or_default()));
    }
    let client = cli.client()?;
    cli.block_on(async {
        let to = if quiet { Shown::Nothing } else { Shown::Stdout };
        pull(cli, &client, &tagged, m.str("platform"), to).await?;
        print::line(&tagged.to_string());
        Ok(())
    })
}

/// Where the progress of a pull is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    Stdout,
    Stderr,
}

/// Pulls an image, or all tags of a repository if the reference has neither tag nor digest.
///
/// # Errors
/// What the engine or the registry reports.
pub(crate) async fn pull(
    cli: &Cli,
    client: &Client,
    reference: &Reference,
    platform: &str,
    shown: Shown,
) -> Result<()> {
    let tag = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or_default().to_owned(),
    };
    let options = PullOptions {
        image: reference.familiar_name(),
        tag,
        platform: platform.to_owned(),
        auth: registry_auth::header(&cli.config(), reference.domain()),
    };
    let messages = client.image_pull(&options).await?;
    match shown {
        Shown::Nothing => progress::drain(messages).await,
        Shown::Stdout => progress::show(messages).await,
        Shown::Stderr => progress::show_on_stderr(messages).await,
    }
}

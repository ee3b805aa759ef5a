//! `image push`.

use serde_json::json;
use wharf_oci::{Platform, Reference};

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    print, progress, registry_auth, value,
};

static FLAGS: &[Flag] = &[
    Flag::bool("all-tags", "Push all tags of an image to the repository").short('a'),
    Flag::bool("disable-content-trust", "Skip image signing")
        .default("true")
        .check(value::check_content_trust),
    Flag::string(
        "platform",
        "Push a platform-specific manifest as a single-platform image to the registry.\nImage index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    ),
    Flag::bool("quiet", "Suppress verbose output").short('q'),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry")
        .aliases(&["image push", "push"])
        .args(Args::Exact(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (all, quiet) = (m.bool("all-tags"), m.bool("quiet"));
    let given = Reference::parse(m.arg(0)).map_err(|error| Error::message(error.to_string()))?;
    if given.digest().is_some() {
        return Err(Error::message("cannot push a digest reference"));
    }
    if all && !given.is_name_only() {
        return Err(Error::message("tag can't be used with --all-tags/-a"));
    }
    let platform = platform(m.str("platform"))?;
    let reference = if all { given.clone() } else { given.clone().with_default_tag() };
    if !all && !quiet && given.is_name_only() {
        print::line(&format!("Using default tag: {}", reference.tag().unwrap_or_default()));
    }
    let auth = registry_auth::header_of_push(&cli.config(), reference.domain());
    let client = cli.client()?;
    cli.block_on(async {
        let tag = reference.tag().unwrap_or_default();
        let messages = client.image_push(&reference.familiar_name(), tag, &platform, &auth).await?;
        if !quiet {
            return progress::show(messages).await;
        }
        progress::drain(messages).await?;
        print::line(&reference.to_string());
        Ok(())
    })
}

/// The document the engine wants for `os/arch[/variant]`; empty for none.
fn platform(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let platform = Platform::parse(text).map_err(|error| {
        print::err(&format!("Invalid platform {text}"));
        Error::message(error.to_string())
    })?;
    print::note(
        "Using --platform pushes only the specified platform manifest of a multi-platform image index.\n\
         Other components, like attestations, will not be included.\n\
         To push the complete multi-platform image, remove the --platform flag.\n",
    );
    let mut document = json!({"architecture": platform.architecture, "os": platform.os});
    if !platform.variant.is_empty() {
        document["variant"] = platform.variant.into();
    }
    Ok(document.to_string())
}

//! `image rm`.

use wharf_api::image::DeleteItem;

use crate::{
    Cli, Error, Matches, Result,
    command::{Args, Command},
    flag::Flag,
    platform, print,
};

static FLAGS: &[Flag] = &[
    Flag::bool("force", "Force removal of the image").short('f'),
    Flag::bool("no-prune", "Do not delete untagged parents"),
    Flag::strings(
        "platform",
        "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("rm", "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images")
        .other_names(&["remove"])
        .aliases(&["image rm", "image remove", "rmi"])
        .args(Args::Min(1))
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (force, keep_parents) = (m.bool("force"), m.bool("no-prune"));
    let platforms = m.list("platform");
    let platforms = platforms.iter().map(|text| platform::document(text, "")).collect::<Result<Vec<_>>>()?;
    let client = cli.client()?;
    cli.block_on(async {
        let (mut errors, mut only_missing) = (Vec::new(), true);
        for name in m.args() {
            let removed = client.image_remove::<Vec<DeleteItem>>(name, force, keep_parents, &platforms);
            match removed.await {
                Ok(items) => items.iter().for_each(report),
                Err(error) => {
                    let error = Error::from(error);
                    only_missing &= error.is_not_found();
                    errors.push(error);
                }
            }
        }
        // compat: with --force an image that is gone already is reported, but no failure.
        if force && only_missing {
            errors.drain(..).for_each(|error| print::warn(&error.to_string()));
        }
        Error::join(errors)
    })
}

fn report(item: &DeleteItem) {
    if item.deleted.is_empty() {
        print::line(&format!("Untagged: {}", item.untagged));
    } else {
        print::line(&format!("Deleted: {}", item.deleted));
    }
}

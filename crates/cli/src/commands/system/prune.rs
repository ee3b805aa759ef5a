//! `system prune`.

use wharf_api::{container, image, network, volume};
use wharf_client::BuildPruneOptions;

use crate::{
    Cli, Error, Matches, Result,
    command::Command,
    commands::{builder::prune as builder, image::prune::lines},
    flag::Flag,
    prompt, prune,
};

static FLAGS: &[Flag] = &[
    Flag::bool("all", "Remove all unused images not just dangling ones").short('a'),
    Flag::filter("Provide filter values (e.g. \"label=<key>=<value>\")"),
    Flag::bool("force", "Do not prompt for confirmation").short('f'),
    Flag::bool("volumes", "Prune anonymous volumes"),
];

/// The definition.
pub(crate) const COMMAND: Command =
    Command::new("prune", "[OPTIONS]", "Remove unused data").flags(FLAGS).run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let (all, with_volumes) = (m.bool("all"), m.bool("volumes"));
    let filters = m.filters();
    if with_volumes && filters.contains("until") {
        return Err(Error::message("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    if !m.bool("force") && !prompt::confirm(&warning(all, with_volumes, &m.list("filter")))? {
        return Ok(());
    }
    let client = cli.client()?;
    cli.block_on(async {
        let mut total = 0;
        let containers: container::PruneResponse = client.container_prune(&filters).await?;
        prune::report("Deleted Containers:", &containers.containers_deleted.unwrap_or_default());
        total += containers.space_reclaimed;
        let networks: network::PruneResponse = client.network_prune(&filters).await?;
        prune::report("Deleted Networks:", &networks.networks_deleted.unwrap_or_default());
        if with_volumes {
            let volumes: volume::PruneResponse = client.volume_prune(&filters).await?;
            prune::report("Deleted Volumes:", &volumes.volumes_deleted.unwrap_or_default());
            total += volumes.space_reclaimed;
        }
        let mut dangling = filters.clone();
        dangling.add("dangling", if all { "false" } else { "true" });
        let images: image::PruneResponse = client.image_prune(&dangling).await?;
        prune::report("Deleted Images:", &lines(&images));
        total += images.space_reclaimed;
        let cache: builder::Pruned = client
            .build_prune(&BuildPruneOptions { all, filters: filters.clone(), ..BuildPruneOptions::default() })
            .await?;
        prune::report("Deleted build cache objects:", &cache.caches_deleted.unwrap_or_default());
        total += cache.space_reclaimed;
        prune::total(total);
        Ok(())
    })
}

fn warning(all: bool, volumes: bool, filters: &[String]) -> String {
    let mut lines = vec!["all stopped containers", "all networks not used by at least one container"];
    if volumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.push(match all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    });
    lines.push(if all { "all build cache" } else { "unused build cache" });
    let mut text = format!("WARNING! This will remove:\n  - {}\n", lines.join("\n  - "));
    if !filters.is_empty() {
        text.push_str(&format!(
            "\n  Items to be pruned will be filtered with:\n  - {}\n",
            filters.join("\n  - ")
        ));
    }
    text
}

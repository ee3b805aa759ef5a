//! Volumes.

use wharf_api::volume::{CreateRequest, ListResponse, PruneResponse};
use wharf_api::{ErrorKind, Filters};
use wharf_engine::Engine;
use wharf_engine::volume::{ANONYMOUS, Volume, VolumeOptions};

use super::{Call, prune_filter};
use crate::call::Result;
use crate::failure::Failure;
use crate::produce::blocking;
use crate::{reply, views};

/// `GET /volumes`.
pub(super) async fn list(call: Call) -> Result {
    let filters = call.filters()?;
    filters.validate(&["dangling", "driver", "label", "name"])?;
    let dangling = match filters.contains("dangling") {
        true => Some(filters.boolean("dangling", false)?),
        false => None,
    };
    let engine = call.engine;
    let volumes = blocking(move || {
        let mut volumes = engine.volumes()?;
        volumes.retain(|volume| matches(&engine, &filters, dangling, volume));
        Ok::<_, Failure>(volumes.into_iter().map(|volume| views::volume::volume(&engine, volume)).collect())
    });
    Ok(reply::json(&ListResponse { volumes: volumes.await?, warnings: None }))
}

fn matches(engine: &Engine, filters: &Filters, dangling: Option<bool>, volume: &Volume) -> bool {
    filters.matches("name", &volume.name)
        && filters.matches_exactly("driver", &volume.driver)
        && filters.matches_map("label", &volume.labels)
        && dangling.is_none_or(|dangling| engine.volume_users(&volume.name).is_empty() == dangling)
}

/// `POST /volumes/create`.
pub(super) async fn create(mut call: Call) -> Result {
    let request: CreateRequest = call.json().await?;
    let options = VolumeOptions {
        name: request.name,
        driver: request.driver,
        labels: request.labels,
        options: Some(request.driver_opts).filter(|options| !options.is_empty()),
    };
    let engine = call.engine;
    let volume = blocking(move || {
        let volume = engine.create_volume(options)?;
        Ok::<_, Failure>(views::volume::volume(&engine, volume))
    });
    Ok(reply::created(&volume.await?))
}

/// `GET /volumes/{name}`.
pub(super) async fn inspect(call: Call) -> Result {
    let engine = call.engine;
    let volume = blocking(move || {
        let volume = engine.volume(&call.name)?;
        Ok::<_, Failure>(views::volume::volume(&engine, volume))
    });
    Ok(reply::json(&volume.await?))
}

/// `PUT /volumes/{name}`: only cluster volumes can change.
pub(super) async fn update(_: Call) -> Result {
    let message = "volume update only valid for cluster volumes, but swarm is unavailable";
    Err(Failure::new(ErrorKind::Unavailable, message))
}

/// `DELETE /volumes/{name}`.
pub(super) async fn remove(call: Call) -> Result {
    blocking(move || call.engine.remove_volume(&call.name, call.query.flag("force"))).await?;
    Ok(reply::no_content())
}

/// `POST /volumes/prune`.
pub(super) async fn prune(call: Call) -> Result {
    let filters = call.filters()?;
    // Clients before 1.42 know no anonymous volumes and mean all.
    let all = filters.boolean("all", !call.since(42))?;
    let wanted = prune_filter(filters, &["all"])?;
    let pruned = blocking(move || {
        call.engine.prune_volumes(|volume| {
            (all || volume.labels.contains_key(ANONYMOUS)) && wanted(volume.created, &volume.labels)
        })
    });
    let (deleted, space_reclaimed) = pruned.await?;
    Ok(reply::json(&PruneResponse { volumes_deleted: Some(deleted), space_reclaimed }))
}

//! Images: everything that answers at once.

use http::StatusCode;
use wharf_engine::Engine;
use wharf_engine::image::{ImageUser, ListOptions, RemoveOptions, repository_and_tag};

use super::{Call, platform};
use crate::call::Result;
use crate::failure::Failure;
use crate::produce::blocking;
use crate::{reply, views};

/// All containers, as far as images are concerned.
pub(crate) fn users(engine: &Engine) -> Vec<ImageUser> {
    let user = |entry: std::sync::Arc<wharf_engine::container::Entry>| {
        let container = entry.get();
        ImageUser {
            container: container.id.clone(),
            image: container.image.clone(),
            running: container.state.status.is_running(),
        }
    };
    engine.containers.all().into_iter().map(user).collect()
}

/// `GET /images/json`.
pub(super) async fn list(call: Call) -> Result {
    let mut filters = call.filters()?;
    let name = call.query.text("filter");
    // compat: older clients filter names this way.
    if !call.since(41) && !name.is_empty() {
        filters.add("reference", name);
    }
    let shared_size = call.since(42) && call.query.flag("shared-size");
    let options = ListOptions { all: call.query.flag("all"), shared_size, filters };
    let version = call.version;
    let rows = blocking(move || call.engine.images.list(&options, &users(&call.engine))).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| views::image::summary(row, version)).collect();
    Ok(reply::json(&rows))
}

/// `GET /images/{name}/json`.
pub(super) async fn inspect(call: Call) -> Result {
    let (platform, version) = (platform::document(&call, 49)?, call.version);
    if platform.is_some() && call.query.flag("manifests") {
        return Err(Failure::invalid(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let image = blocking(move || call.engine.images.inspect(&call.name, platform.as_ref())).await?;
    let document =
        views::image::inspect(image, version).map_err(|error| Failure::system(error.to_string()))?;
    Ok(reply::json_for_html(&document))
}

/// `GET /images/{name}/history`.
pub(super) async fn history(call: Call) -> Result {
    let platform = platform::document(&call, 48)?;
    Ok(reply::json(&blocking(move || call.engine.images.history(&call.name, platform.as_ref())).await?))
}

/// `POST /images/{name}/tag`.
pub(super) async fn tag(call: Call) -> Result {
    let Some(target) = repository_and_tag(call.query.text("repo"), call.query.text("tag"))? else {
        // compat: nothing to do is no error here.
        return Ok(reply::empty(StatusCode::OK));
    };
    blocking(move || call.engine.images.tag(&call.name, &target)).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

/// `DELETE /images/{name}`.
pub(super) async fn remove(call: Call) -> Result {
    if call.name.trim().is_empty() {
        return Err(Failure::invalid("image name cannot be blank"));
    }
    let options = RemoveOptions { force: call.query.flag("force"), keep_parents: call.query.flag("noprune") };
    let platform = platform::documents(&call, 50)?;
    let removed = blocking(move || {
        if platform.is_some() {
            call.engine.images.find(&call.name, platform.as_ref())?;
        }
        call.engine.images.remove(&call.name, options, &users(&call.engine))
    });
    Ok(reply::json(&removed.await?))
}

/// `POST /images/prune`.
pub(super) async fn prune(call: Call) -> Result {
    let filters = call.filters()?;
    Ok(reply::json(&blocking(move || call.engine.images.prune(&filters, &users(&call.engine))).await?))
}

//! Images: everything that answers at once.

use http::StatusCode;
use wharf_engine::Engine;
use wharf_engine::image::{ImageUser, ListOptions, RemoveOptions, repository_and_tag};
use wharf_oci::Platform;

use super::Call;
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

/// The `platform` parameter, as text (`linux/arm64`) or, from API 1.49 on, as a document.
pub(super) fn platform(call: &Call) -> Result<Option<Platform>> {
    match call.query.text("platform") {
        "" => Ok(None),
        text => parse_platform(text).map(Some),
    }
}

/// The `platforms` parameter; at most one, since an image has one.
fn platforms(call: &Call) -> Result<Option<Platform>> {
    let mut all = call.query.all("platforms");
    match (all.next(), all.next()) {
        (Some(_), Some(_)) => Err(Failure::invalid("multiple platforms are not supported")),
        (first, _) => first.map(parse_platform).transpose(),
    }
}

fn parse_platform(text: &str) -> Result<Platform> {
    let text = match serde_json::from_str::<wharf_api::image::Platform>(text) {
        Ok(platform) => {
            let parts = [platform.os, platform.architecture, platform.variant];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
        }
        Err(_) => text.to_owned(),
    };
    Platform::parse(&text).map_err(|error| Failure::invalid(error.to_string()))
}

/// `GET /images/json`.
pub(super) async fn list(call: Call) -> Result {
    let options = ListOptions {
        all: call.query.flag("all"),
        shared_size: call.query.flag("shared-size"),
        filters: call.filters()?,
    };
    let version = call.version;
    let rows = blocking(move || call.engine.images.list(&options, &users(&call.engine))).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| views::image::summary(row, version)).collect();
    Ok(reply::json(&rows))
}

/// `GET /images/{name}/json`.
pub(super) async fn inspect(call: Call) -> Result {
    let (platform, version) = (platform(&call)?, call.version);
    let image = blocking(move || call.engine.images.inspect(&call.name, platform.as_ref())).await?;
    let document =
        views::image::inspect(image, version).map_err(|error| Failure::system(error.to_string()))?;
    Ok(reply::json_for_html(&document))
}

/// `GET /images/{name}/history`.
pub(super) async fn history(call: Call) -> Result {
    let platform = platform(&call)?;
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
    let options = RemoveOptions { force: call.query.flag("force"), keep_parents: call.query.flag("noprune") };
    let platform = platforms(&call)?;
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

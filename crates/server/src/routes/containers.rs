//! Containers: everything that answers at once.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::StatusCode;
use hyper::body::Body as _;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::json;
use wharf_api::container::{Config, CreateRequest, PruneResponse, UpdateRequest, UpdateResponse};
use wharf_engine::container::{CommitRequest, Container, CreateOptions, ListOptions, RemoveOptions};
use wharf_engine::image::repository_and_tag;

use super::{Call, platform, prune_filter};
use crate::call::Result;
use crate::failure::Failure;
use crate::produce::blocking;
use crate::{reply, views};

/// `GET /containers/json`.
pub(super) async fn list(call: Call) -> Result {
    let limit = call.query.number("limit")?.unwrap_or(0);
    let options = ListOptions { all: call.query.flag("all"), limit, filters: call.filters()? };
    let size = call.query.flag("size");
    let engine = call.engine;
    let rows = blocking(move || {
        let now = Timestamp::now();
        let entries = engine.list_containers(&options)?;
        let mut images = views::container::ImageNames::new(&engine);
        let rows =
            entries.iter().map(|entry| views::container::summary(&entry.get(), &mut images, size, now));
        rows.collect::<wharf_engine::Result<Vec<_>>>()
    });
    Ok(reply::json(&rows.await?))
}

/// `POST /containers/create`.
pub(super) async fn create(mut call: Call) -> Result {
    let (request, text) = call.required_json::<CreateRequest>().await?;
    if !has_config(&text) {
        return Err(Failure::invalid("config cannot be empty in order to create a container"));
    }
    let platform = platform::text(&call, 41)?;
    let options = CreateOptions { name: call.query.text("name").to_owned(), platform };
    let engine = call.engine;
    Ok(reply::created(&blocking(move || engine.create_container(request, options)).await?))
}

/// The request says something about the container itself, not only about host and networks.
fn has_config(text: &Bytes) -> bool {
    let keys: HashMap<String, IgnoredAny> = serde_json::from_slice(text).unwrap_or_default();
    keys.keys().any(|key| !matches!(key.as_str(), "HostConfig" | "NetworkingConfig"))
}

/// `POST /commit`.
pub(super) async fn commit(mut call: Call) -> Result {
    if call.query.text("container").is_empty() {
        return Err(Failure::invalid("invalid name or ID supplied: \"\""));
    }
    let config = call.json::<Option<Config>>().await?;
    let request = CommitRequest {
        reference: repository_and_tag(call.query.text("repo"), call.query.text("tag"))?,
        comment: call.query.text("comment").to_owned(),
        author: call.query.text("author").to_owned(),
        changes: call.query.all("changes").map(str::to_owned).collect(),
        config,
        pause: call.query.text("pause").is_empty() || call.query.flag("pause"),
    };
    let id = blocking(move || call.engine.commit_container(call.query.text("container"), &request)).await?;
    Ok(reply::created(&json!({ "Id": id })))
}

/// `GET /containers/{name}/json`.
pub(super) async fn inspect(call: Call) -> Result {
    let size = call.query.flag("size");
    let engine = call.engine;
    let document = blocking(move || {
        let container = engine.containers.find(&call.name)?.get();
        views::container::inspect(&engine, &container, size)
    });
    Ok(reply::json(&document.await?))
}

/// `POST /containers/{name}/start`.
pub(super) async fn start(call: Call) -> Result {
    // compat: clients send `{}` or `null`, which once was a host configuration.
    if call.body.as_ref().is_some_and(|body| body.size_hint().exact().is_none_or(|bytes| bytes > 7)) {
        return Err(Failure::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    let keys = call.query.text("detachKeys").to_owned();
    blocking(move || call.engine.start_container(&call.name, &keys)).await?;
    Ok(reply::no_content())
}

/// `POST /containers/{name}/stop`.
pub(super) async fn stop(call: Call) -> Result {
    let timeout = call.query.number("t")?;
    blocking(move || call.engine.stop_container(&call.name, call.query.get("signal"), timeout)).await?;
    Ok(reply::no_content())
}

/// `POST /containers/{name}/kill`.
pub(super) async fn kill(call: Call) -> Result {
    blocking(move || call.engine.kill_container(&call.name, call.query.text("signal"))).await?;
    Ok(reply::no_content())
}

/// `POST /containers/{name}/restart`.
pub(super) async fn restart(call: Call) -> Result {
    let timeout = call.query.number("t")?;
    blocking(move || call.engine.restart_container(&call.name, call.query.get("signal"), timeout)).await?;
    Ok(reply::no_content())
}

/// `POST /containers/{name}/pause`.
pub(super) async fn pause(call: Call) -> Result {
    blocking(move || call.engine.pause_container(&call.name)).await?;
    Ok(reply::no_content())
}

/// `POST /containers/{name}/unpause`.
pub(super) async fn unpause(call: Call) -> Result {
    blocking(move || call.engine.unpause_container(&call.name)).await?;
    Ok(reply::no_content())
}

/// `POST /containers/{name}/rename`.
pub(super) async fn rename(call: Call) -> Result {
    if call.query.text("name").is_empty() {
        return Err(Failure::invalid("Neither old nor new names may be empty"));
    }
    blocking(move || call.engine.rename_container(&call.name, call.query.text("name"))).await?;
    Ok(reply::no_content())
}

/// `POST /containers/{name}/update`.
pub(super) async fn update(mut call: Call) -> Result {
    let request: UpdateRequest = call.json().await?;
    blocking(move || call.engine.update_limits(&call.name, request)).await?;
    Ok(reply::json(&UpdateResponse::default()))
}

/// `POST /containers/{name}/resize`.
pub(super) async fn resize(call: Call) -> Result {
    let (height, width) = size(&call)?;
    blocking(move || call.engine.resize_container(&call.name, height, width)).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// The terminal size of a resize call: height, width.
pub(super) fn size(call: &Call) -> Result<(u16, u16)> {
    let side = |name, key| {
        let text = call.query.text(key);
        let reason = match text.parse::<u32>() {
            // The kernel's sizes have 16 bits.
            Ok(cells) => return Ok(u16::try_from(cells).unwrap_or(u16::MAX)),
            Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                "value out of range"
            }
            Err(_) => "invalid syntax",
        };
        Err(Failure::invalid(format!("invalid resize {name} {text:?}: {reason}")))
    };
    Ok((side("height", "h")?, side("width", "w")?))
}

/// `GET /containers/{name}/top`.
pub(super) async fn top(call: Call) -> Result {
    let table = blocking(move || call.engine.container_top(&call.name, call.query.text("ps_args")));
    Ok(reply::json(&table.await?))
}

/// `GET /containers/{name}/changes`.
pub(super) async fn changes(call: Call) -> Result {
    let changes = blocking(move || call.engine.container_changes(&call.name)).await?;
    // compat: no changes are `null`.
    Ok(reply::json(&Some(changes).filter(|changes| !changes.is_empty())))
}

/// `DELETE /containers/{name}`.
pub(super) async fn remove(call: Call) -> Result {
    if call.query.flag("link") {
        return Err(Failure::system("Conflict, cannot remove the default link name of the container"));
    }
    let options = RemoveOptions { volumes: call.query.flag("v"), force: call.query.flag("force") };
    blocking(move || call.engine.remove_container(&call.name, options)).await?;
    Ok(reply::no_content())
}

/// `POST /containers/prune`.
pub(super) async fn prune(call: Call) -> Result {
    let wanted = prune_filter(call.filters()?, &[])?;
    let pruned = blocking(move || {
        let none = BTreeMap::new();
        let matches = |container: &Container| {
            wanted(container.created, container.config.labels.as_ref().unwrap_or(&none))
        };
        call.engine.prune_containers(matches)
    });
    let (deleted, space_reclaimed) = pruned.await?;
    let containers_deleted = Some(deleted).filter(|deleted| !deleted.is_empty());
    Ok(reply::json(&PruneResponse { containers_deleted, space_reclaimed }))
}

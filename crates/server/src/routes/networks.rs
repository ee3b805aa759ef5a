//! Networks.

use http::StatusCode;
use wharf_api::Filters;
use wharf_api::network::{ConnectRequest, CreateRequest, CreateResponse, DisconnectRequest, PruneResponse};
use wharf_engine::Engine;
use wharf_engine::network::NetworkRecord;

use super::{Call, prune_filter};
use crate::call::Result;
use crate::failure::Failure;
use crate::produce::blocking;
use crate::{reply, views};

/// The filter keys of the list.
const KEYS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// `GET /networks`.
pub(super) async fn list(call: Call) -> Result {
    let filters = call.filters()?;
    filters.validate(KEYS)?;
    if filters.get("type").any(|kind| !matches!(kind, "builtin" | "custom")) {
        let kind =
            filters.get("type").find(|kind| !matches!(*kind, "builtin" | "custom")).unwrap_or_default();
        return Err(Failure::invalid(format!("invalid filter: 'type'='{kind}'")));
    }
    let dangling =
        if filters.contains("dangling") { Some(filters.boolean("dangling", false)?) } else { None };
    let engine = call.engine;
    let networks = blocking(move || {
        let mut networks = engine.networks()?;
        networks.retain(|network| matches(&engine, &filters, dangling, network));
        let rows = networks.into_iter().map(|network| views::network::network(&engine, network, false));
        Ok::<_, Failure>(rows.collect::<Vec<_>>())
    });
    Ok(reply::json(&networks.await?))
}

fn matches(engine: &Engine, filters: &Filters, dangling: Option<bool>, network: &NetworkRecord) -> bool {
    filters.matches("name", &network.name)
        && filters.matches("id", &network.id)
        && filters.matches_exactly("driver", &network.driver.to_string())
        && filters.matches_exactly("scope", "local")
        && filters.matches_exactly("type", if network.predefined { "builtin" } else { "custom" })
        && filters.matches_map("label", &network.labels)
        && dangling.is_none_or(|dangling| {
            !network.predefined && engine.network_users(network).is_empty() == dangling
        })
}

/// `GET /networks/{id}`.
pub(super) async fn inspect(call: Call) -> Result {
    let engine = call.engine;
    let network = blocking(move || {
        let network = engine.network(&call.name)?;
        Ok::<_, Failure>(views::network::network(&engine, network, true))
    });
    Ok(reply::json(&network.await?))
}

/// `POST /networks/create`.
pub(super) async fn create(mut call: Call) -> Result {
    let request: CreateRequest = call.json().await?;
    let id = blocking(move || call.engine.create_network(request)).await?;
    Ok(reply::created(&CreateResponse { id, warning: String::new() }))
}

/// `POST /networks/{id}/connect`.
pub(super) async fn connect(mut call: Call) -> Result {
    let ConnectRequest { container, endpoint_config } = call.json().await?;
    require_name(&container)?;
    let settings = endpoint_config.unwrap_or_default();
    blocking(move || call.engine.connect_network(&call.name, &container, settings)).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `POST /networks/{id}/disconnect`.
pub(super) async fn disconnect(mut call: Call) -> Result {
    let DisconnectRequest { container, .. } = call.json().await?;
    require_name(&container)?;
    blocking(move || call.engine.disconnect_network(&call.name, &container)).await?;
    Ok(reply::empty(StatusCode::OK))
}

fn require_name(container: &str) -> Result<()> {
    match container {
        "" => Err(Failure::invalid("invalid name or ID supplied: \"\"")),
        _ => Ok(()),
    }
}

/// `DELETE /networks/{id}`.
pub(super) async fn remove(call: Call) -> Result {
    blocking(move || call.engine.remove_network(&call.name)).await?;
    Ok(reply::no_content())
}

/// `POST /networks/prune`.
pub(super) async fn prune(call: Call) -> Result {
    let wanted = prune_filter(call.filters()?, &[])?;
    let deleted =
        blocking(move || call.engine.prune_networks(|network| wanted(network.created, &network.labels)));
    let networks_deleted = Some(deleted.await?).filter(|deleted| !deleted.is_empty());
    Ok(reply::json(&PruneResponse { networks_deleted }))
}

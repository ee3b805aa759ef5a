//! The service `Control`, but for `Solve`: workers, progress of builds, and the build cache.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tonic::{Request, Status};
use wharf_api::Filters;
use wharf_api::system::BuildCache;
use wharf_engine::build::{Budget, PruneOptions};
use wharf_oci::Platform;

use super::connection::Connection;
use super::progress::{Progress, timestamp};
use super::proto::control::{
    DiskUsageRequest, DiskUsageResponse, InfoResponse, ListWorkersResponse, PruneRequest, StatusRequest,
    StatusResponse, UsageRecord,
};
use super::proto::types::{self, Version, WorkerRecord};
use super::{failure, rpc::Messages};
use crate::produce::blocking;

/// `Info`.
pub(super) async fn info(_: Arc<Connection>) -> Result<InfoResponse, Status> {
    Ok(InfoResponse { buildkit_version: Some(version()) })
}

/// `ListWorkers`: there is one.
pub(super) async fn list_workers(connection: Arc<Connection>) -> Result<ListWorkersResponse, Status> {
    let host = Platform::host();
    let platform = types::Platform { architecture: host.architecture, os: host.os, variant: host.variant };
    let id = blocking(move || Ok::<_, crate::failure::Failure>(connection.engine.info().id)).await;
    let worker = WorkerRecord {
        id: id.map_err(|error| failure::status(&error))?,
        labels: HashMap::new(),
        platforms: vec![platform],
        gc_policy: Vec::new(),
        version: Some(version()),
    };
    Ok(ListWorkersResponse { record: vec![worker] })
}

fn version() -> Version {
    Version {
        package: "wharf".to_owned(),
        version: concat!("v", env!("CARGO_PKG_VERSION")).to_owned(),
        revision: String::new(),
    }
}

/// `Status`: follows a build to its end.
pub(super) async fn status(
    connection: Arc<Connection>,
    request: Request<StatusRequest>,
) -> Result<Messages<StatusResponse>, Status> {
    let build = connection.build(&request.get_ref().r#ref)?;
    Ok(Progress::follow(build, |build| &build.progress))
}

/// `DiskUsage`.
pub(super) async fn disk_usage(
    connection: Arc<Connection>,
    request: Request<DiskUsageRequest>,
) -> Result<DiskUsageResponse, Status> {
    let filters = filters(&request.get_ref().filter);
    let cache = blocking(move || connection.engine.build_cache()).await;
    let cache = cache.map_err(|error| failure::status(&error))?;
    let fits = |entry: &BuildCache| {
        filters.matches_exactly("id", &entry.id)
            && filters.matches_exactly("type", &entry.kind)
            && filters.matches("description", &entry.description)
    };
    Ok(DiskUsageResponse { record: cache.into_iter().filter(fits).map(record).collect() })
}

/// `Prune`: removes records of the build cache and names them.
pub(super) async fn prune(
    connection: Arc<Connection>,
    request: Request<PruneRequest>,
) -> Result<Messages<UsageRecord>, Status> {
    let request = request.into_inner();
    let mut filters = filters(&request.filter);
    if request.keep_duration > 0 {
        filters.add("unused-for", format!("{}s", request.keep_duration / 1_000_000_000));
    }
    let bytes = |given: i64| u64::try_from(given).unwrap_or_default();
    let budget = Budget {
        reserved: bytes(request.reserved_space),
        max_used: bytes(request.max_used_space),
        min_free: bytes(request.min_free_space),
    };
    let options = PruneOptions { all: request.all, budget, filters };
    let removed = blocking(move || {
        let before = connection.engine.build_cache()?;
        let (removed, _) = connection.engine.prune_build_cache(&options)?;
        Ok::<_, wharf_engine::Error>(before.into_iter().filter(move |entry| removed.contains(&entry.id)))
    });
    let removed = removed.await.map_err(|error| failure::status(&error))?;
    Ok(stream::iter(removed.map(|entry| Ok(record(entry)))).boxed())
}

/// Filters as containerd writes them: `type==regular`, `inuse`.
fn filters(texts: &[String]) -> Filters {
    let mut filters = Filters::default();
    for text in texts.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty()) {
        match text.split_once("==").or_else(|| text.split_once("~=")).or_else(|| text.split_once('=')) {
            Some((key, value)) => filters.add(key, value),
            None => filters.add(text, "1"),
        }
    }
    filters
}

fn record(entry: BuildCache) -> UsageRecord {
    let time = |text: &str| text.parse().ok().map(timestamp);
    UsageRecord {
        mutable: entry.kind != "regular",
        in_use: entry.in_use,
        size: entry.size,
        created_at: time(&entry.created_at),
        last_used_at: entry.last_used_at.as_deref().and_then(time),
        usage_count: entry.usage_count,
        description: entry.description,
        record_type: entry.kind,
        shared: entry.shared,
        parents: entry.parents,
        id: entry.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_containerd() {
        let filters = filters(&["type==regular,inuse".to_owned(), "id~=abc".to_owned()]);
        assert!(filters.matches_exactly("type", "regular") && !filters.matches_exactly("type", "x"));
        assert!(filters.contains("inuse") && filters.get("id").eq(["abc"]));
    }
}

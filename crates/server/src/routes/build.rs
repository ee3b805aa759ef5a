//! Building images, and the build cache.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::UnixStream;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::de::DeserializeOwned;
use serde_json::json;
use wharf_api::Filters;
use wharf_api::auth::AuthConfig;
use wharf_api::container::{Resources, Ulimit};
use wharf_api::progress::Progress;
use wharf_engine::build::{Budget, Cancel, ClassicRequest, PruneOptions, RunOptions};
use wharf_engine::image::Credentials;
use wharf_oci::{Platform, Reference};

use super::streams::asynchronous;
use super::{Call, transfer};
use crate::call::Result;
use crate::failure::Failure;
use crate::hijack::{Session, hijack};
use crate::produce::{self, blocking, send_line};
use crate::reply;

/// `POST /build`: the classic builder.
pub(super) async fn classic(mut call: Call) -> Result {
    let request = classic_request(&call)?;
    let mut body = call.reader();
    let engine = call.engine;
    produce::lines_until_gone(reply::JSON, move |sink, gone| {
        let cancel = Cancel::default();
        let watched = cancel.clone();
        let watch = gone.on_end(move || watched.cancel());
        let built = engine.build_classic(&request, &mut body, &cancel, &mut |line: Progress| {
            let _ = send_line(sink, &line);
        });
        drop(watch);
        Ok(built?)
    })
    .await
}

fn classic_request(call: &Call) -> Result<ClassicRequest> {
    let query = &call.query;
    if query.flag("squash") {
        return Err(Failure::invalid("squash is only supported with experimental mode"));
    }
    if document::<Option<Vec<String>>>(query.text("securityopt"), "security options")?
        .is_some_and(|o| !o.is_empty())
    {
        return Err(Failure::invalid(
            "The daemon on this platform does not support setting security options on build",
        ));
    }
    if query.text("version") == "2" {
        return Err(Failure::not_implemented("building with BuildKit's protocol is not supported"));
    }
    let names = query.all("t").filter(|name| !name.is_empty()).map(|name| {
        let name = Reference::parse(name).map_err(|error| Failure::invalid(error.to_string()))?;
        if name.digest().is_some() {
            return Err(Failure::invalid("build tag cannot contain a digest"));
        }
        Ok(name.with_default_tag())
    });
    let ulimits: Option<Vec<Ulimit>> = document(query.text("ulimits"), "ulimits")?;
    let hosts = query.all("extrahosts").flat_map(|hosts| hosts.split(','));
    let platform = match query.text("platform") {
        "" => None,
        text => Some(Platform::parse(text).map_err(|error| Failure::invalid(error.to_string()))?),
    };
    Ok(ClassicRequest {
        dockerfile: query.text("dockerfile").to_owned(),
        remote: query.text("remote").to_owned(),
        names: names.collect::<Result<_>>()?,
        quiet: query.flag("q"),
        force_remove: query.flag("forcerm"),
        remove: query.text("rm").is_empty() || query.flag("rm") || query.flag("forcerm"),
        no_cache: query.flag("nocache"),
        pull: query.flag("pull"),
        build_args: document::<Option<BTreeMap<String, Option<String>>>>(
            query.text("buildargs"),
            "build args",
        )?
        .unwrap_or_default(),
        labels: document::<Option<BTreeMap<String, String>>>(query.text("labels"), "labels")?
            .unwrap_or_default(),
        target: query.text("target").to_owned(),
        platform,
        run: RunOptions {
            network: query.text("networkmode").to_owned(),
            extra_hosts: hosts.filter(|host| !host.is_empty()).map(str::to_owned).collect(),
            shm_size: query.number("shmsize")?.unwrap_or_default(),
            ulimits: ulimits.unwrap_or_default(),
            cgroup_parent: query.text("cgroupparent").to_owned(),
            resources: resources(call)?,
        },
        credentials: registry_config(call.header("x-registry-config")),
    })
}

/// What steps may use of memory and processors.
fn resources(call: &Call) -> Result<Resources> {
    let query = &call.query;
    let number = |name: &str| Ok::<_, Failure>(query.number(name)?.unwrap_or_default());
    Ok(Resources {
        memory: number("memory")?,
        memory_swap: number("memswap")?,
        cpu_shares: number("cpushares")?,
        cpu_period: number("cpuperiod")?,
        cpu_quota: number("cpuquota")?,
        cpuset_cpus: query.text("cpusetcpus").to_owned(),
        cpuset_mems: query.text("cpusetmems").to_owned(),
        ..Resources::default()
    })
}

/// A parameter that is a document; the zero value when it is missing.
fn document<T: DeserializeOwned + Default>(text: &str, what: &str) -> Result<T> {
    if text.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|error| Failure::invalid(format!("error reading {what}: {error}")))
}

/// The credentials of `X-Registry-Config`, by the host of the registry. One that cannot be read counts as none.
fn registry_config(header: Option<&str>) -> HashMap<String, Credentials> {
    let decoded = header.and_then(|text| URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).ok());
    let configs: HashMap<String, AuthConfig> =
        decoded.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let host = |address: &str| {
        let address = address.trim_start_matches("https://").trim_start_matches("http://");
        match address.split('/').next().unwrap_or_default() {
            "index.docker.io" => "docker.io".to_owned(),
            host => host.to_owned(),
        }
    };
    configs.into_iter().map(|(address, auth)| (host(&address), transfer::from_auth(auth))).collect()
}

/// `POST /build/prune`.
pub(super) async fn prune(call: Call) -> Result {
    let filters = Filters::parse(call.query.text("filters"))?;
    let bytes = |name: &str| {
        let bytes: Option<i64> = call.query.number(name).map_err(|error| {
            let text = call.query.text(name);
            Failure::invalid(format!("{name} is in bytes and expects an integer, got {text}: {error}"))
        })?;
        Ok::<_, Failure>(u64::try_from(bytes.unwrap_or_default()).unwrap_or_default())
    };
    let budget = Budget {
        // The older name of the same.
        reserved: bytes("reserved-space")?.max(bytes("keep-storage")?),
        max_used: bytes("max-used-space")?,
        min_free: bytes("min-free-space")?,
    };
    let options = PruneOptions { all: call.query.flag("all"), budget, filters };
    let (deleted, freed) = blocking(move || call.engine.prune_build_cache(&options)).await?;
    let deleted = Some(deleted).filter(|deleted| !deleted.is_empty());
    Ok(reply::json(&json!({ "CachesDeleted": deleted, "SpaceReclaimed": freed })))
}

/// `POST /build/cancel`: of builds by id, which only the BuildKit protocol gives them.
pub(super) async fn cancel(call: Call) -> Result {
    match call.query.text("id") {
        "" => Err(Failure::invalid("build ID not provided")),
        _ => Ok(reply::empty(http::StatusCode::OK)),
    }
}

/// `POST /build/shell`: an image of what the step that failed last left.
pub(super) async fn shell(call: Call) -> Result {
    let id = blocking(move || call.engine.open_failed_step()).await?;
    Ok(reply::created(&json!({ "Id": id })))
}

/// `POST /build/session`: the stream of `wharf build`.
pub(super) async fn session(call: Call) -> Result {
    let (ours, theirs) = UnixStream::pair().map_err(|error| Failure::system(error.to_string()))?;
    let engine = call.engine.clone();
    tokio::task::spawn_blocking(move || engine.serve_build(ours));
    let stream = async move { asynchronous(theirs) };
    Ok(hijack(call, Session { past: None, stream, ended: async {}, raw: true }))
}

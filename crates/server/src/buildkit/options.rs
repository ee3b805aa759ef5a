//! What a request means, as a pure function: the options of the frontend `dockerfile.v0` and of exporters become a
//! request to the engine, and the names of the folders that are to be had from the client.
//!
//! Options that change nothing about a result (`vcs:…`, `cmdline`, …) are passed over, as every frontend does.

mod outputs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use tonic::Status;
use wharf_api::build::{CacheEntry, Request};
use wharf_api::container::Ulimit;

pub(super) use self::outputs::Output;
use super::proto::control::{self, CacheOptionsEntry};
use super::proto::gateway::SolveRequest;

/// The name of a Dockerfile that was not named.
const DOCKERFILE: &str = "Dockerfile";

/// Where a client's archive comes from: an address that only its session serves.
const UPLOAD: &str = "http://buildkit-session/";

/// A build as it was asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Options {
    /// To the engine; files, credentials and agents are still missing.
    pub(super) request: Request,
    /// What comes out, in the order of [`Request::exports`].
    pub(super) outputs: Vec<Output>,
    /// Path of the Dockerfile.
    pub(super) file: String,
    /// Folder of the client that the Dockerfile is in; none if it is in the context that the engine fetches.
    pub(super) dockerfile: Option<Local>,
    /// Folders of the client by the name of their context, `""` for the build context.
    pub(super) folders: BTreeMap<String, Local>,
    /// What the client sends as an archive.
    pub(super) upload: Option<String>,
}

/// A folder of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Local {
    /// Its name in the session.
    pub(super) name: String,
    /// The session, if it is another than that of the build.
    pub(super) session: Option<String>,
}

/// Reads a request: of the control service, and of the client's gateway.
///
/// # Errors
/// In BuildKit's words; what is not supported is named.
pub(super) fn read(solve: &control::SolveRequest, asked: &SolveRequest) -> Result<Options, Status> {
    let given = &asked.frontend_opt;
    let text = |name: &str| given.get(name).map(String::as_str).filter(|text| !text.is_empty());
    if let Some(name) = given.keys().find_map(|name| name.strip_prefix("attest:")) {
        return Err(Status::unimplemented(format!("attestation {name:?} is not supported")));
    }
    let build_args = prefixed(given, "build-arg:");
    let (all, filter) = match given.get("no-cache").map(String::as_str) {
        None => (false, Vec::new()),
        Some("") => (true, Vec::new()),
        Some(stages) => (false, list(stages)),
    };
    let mut options =
        Options { file: text("filename").unwrap_or(DOCKERFILE).to_owned(), ..Options::default() };
    let request = &mut options.request;
    request.target = text("target").map(str::to_owned);
    request.epoch = match build_args.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) {
        Some(text) => Some(number(text, "SOURCE_DATE_EPOCH")?),
        None => None,
    };
    request.build_args = build_args;
    request.labels = prefixed(given, "label:");
    request.platforms = list(text("platform").unwrap_or_default());
    (request.no_cache, request.no_cache_filter) = (all, filter);
    request.pull = text("image-resolve-mode") == Some("pull");
    request.allow.clone_from(&solve.entitlements);
    request.network = text("force-network-mode").unwrap_or_default().to_owned();
    request.add_hosts =
        list(text("add-hosts").unwrap_or_default()).iter().map(|host| host.replacen('=', ":", 1)).collect();
    request.shm_size = text("shm-size").map(|text| number(text, "shm-size")).transpose()?.unwrap_or_default();
    request.ulimits =
        list(text("ulimit").unwrap_or_default()).iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?;
    request.cgroup_parent = text("cgroup-parent").unwrap_or_default().to_owned();
    caches(solve, asked, request)?;
    sources(given, &mut options)?;
    outputs::read(solve, &mut options)?;
    Ok(options)
}

/// Where the Dockerfile and contexts are.
fn sources(given: &HashMap<String, String>, options: &mut Options) -> Result<(), Status> {
    let text = |name: &str| given.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let local = |name: &str| Local {
        session: text(&format!("local-sessionid:{name}")).map(str::to_owned),
        name: name.to_owned(),
    };
    let dockerfile = text("dockerfilekey");
    match text("context") {
        None => {
            options.folders.insert(String::new(), local(text("contextkey").unwrap_or("context")));
            options.dockerfile = Some(local(dockerfile.unwrap_or("dockerfile")));
        }
        Some(address) => {
            match address.strip_prefix(UPLOAD) {
                Some(id) => options.upload = Some(id.to_owned()),
                None => address.clone_into(&mut options.request.remote),
            }
            options.dockerfile = dockerfile.map(local);
        }
    }
    for (name, value) in prefixed(given, "context:") {
        let unsupported = |what: &str| {
            Err(Status::unimplemented(format!("named context {name:?}: {what} are not supported")))
        };
        match value.split_once(':') {
            Some(("local", folder)) => {
                options.folders.insert(name, local(folder));
            }
            Some(("input" | "target", _)) => return unsupported("results of other builds"),
            Some(("oci-layout", _)) => return unsupported("image layouts"),
            _ => {
                options.request.contexts.insert(name, value);
            }
        }
    }
    Ok(())
}

/// Caches of other builds.
fn caches(solve: &control::SolveRequest, asked: &SolveRequest, request: &mut Request) -> Result<(), Status> {
    let entry = |entry: &CacheOptionsEntry| CacheEntry {
        kind: entry.r#type.clone(),
        attributes: entry.attrs.clone().into_iter().collect(),
    };
    let (imports, exports) = match &solve.cache {
        Some(cache) => (cache.imports.as_slice(), cache.exports.as_slice()),
        None => (&[][..], &[][..]),
    };
    let imports = if imports.is_empty() { &asked.cache_imports } else { imports };
    request.cache_from = imports.iter().map(entry).collect();
    request.cache_to = exports.iter().map(entry).collect();
    match request.cache_from.iter().chain(&request.cache_to).find(|entry| entry.kind == "local") {
        Some(_) => Err(Status::unimplemented("caches in folders of the client are not supported")),
        None => Ok(()),
    }
}

/// Options whose names begin with something, by what follows it.
fn prefixed(given: &HashMap<String, String>, prefix: &str) -> BTreeMap<String, String> {
    let named =
        |(name, value): (&String, &String)| Some((name.strip_prefix(prefix)?.to_owned(), value.clone()));
    given.iter().filter_map(named).collect()
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn number(text: &str, name: &str) -> Result<i64, Status> {
    text.parse().map_err(|_| Status::invalid_argument(format!("invalid {name}: {text}")))
}

/// `name=soft:hard`, or one number for both.
fn ulimit(text: &str) -> Result<Ulimit, Status> {
    let invalid = || Status::invalid_argument(format!("invalid ulimit argument: {text}"));
    let (name, limits) = text.split_once('=').ok_or_else(invalid)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse().map_err(|_| invalid());
    Ok(Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? })
}

//! The engine itself.

use http::{HeaderValue, header};
use wharf_api::system::{CheckProblem, CheckReport};

use super::Call;
use crate::call::Result;
use crate::failure::Failure;
use crate::produce::blocking;
use crate::{reply, views};

/// `GET` and `HEAD /_ping`.
pub(super) async fn ping(_: Call) -> Result {
    let mut response = reply::text("OK");
    let headers = response.headers_mut();
    // Clients speak BuildKit's protocol.
    headers.insert("builder-version", HeaderValue::from_static("2"));
    headers.insert("swarm", HeaderValue::from_static("inactive"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `GET /version`.
pub(super) async fn version(call: Call) -> Result {
    Ok(reply::json(&call.engine.version()))
}

/// `GET /info`.
pub(super) async fn info(call: Call) -> Result {
    Ok(reply::json(&blocking(move || Ok::<_, Failure>(call.engine.info())).await?))
}

/// `GET /system/df`, of all kinds of objects or only of those that `type` names.
pub(super) async fn disk_usage(call: Call) -> Result {
    const KINDS: [&str; 4] = ["container", "image", "volume", "build-cache"];
    if let Some(kind) = call.query.all("type").find(|kind| !KINDS.contains(kind)) {
        return Err(Failure::invalid(format!("unknown object type: {kind}")));
    }
    Ok(reply::json(&blocking(move || views::disk_usage::disk_usage(&call)).await?))
}

/// `POST /wharf/check`, this engine's own: do records and files agree?
pub(super) async fn check(call: Call) -> Result {
    let repair = call.query.flag("repair");
    let problems = blocking(move || call.engine.check(repair)).await?;
    let problem = |found: wharf_engine::Problem| CheckProblem {
        subject: found.subject,
        what: found.what,
        mended: found.mended,
    };
    Ok(reply::json(&CheckReport { problems: problems.into_iter().map(problem).collect() }))
}

//! Lists of tags and repositories, page by page.

use http::header::LINK;
use http::{Response, StatusCode};
use serde_json::json;

use super::blocking;
use super::call::Call;
use super::failure::{Code, Failure, Result};
use super::name::Name;
use super::reply::{self, Body};

/// Repositories in an answer, unless fewer are asked for.
const MOST_REPOSITORIES: usize = 1000;
/// Tags in an answer at most.
const MOST_TAGS: usize = 10_000;

/// `GET /v2/NAME/tags/list`.
pub(crate) async fn tags(call: &Call, name: Name) -> Result<Response<Body>> {
    let (store, repository) = (call.registry.store.clone(), name.clone());
    let mut tags = blocking::run(move || {
        let tags = store.tags(&repository)?;
        if tags.is_empty() && !store.has_repository(&repository)? {
            return Err(Failure::name_unknown(&repository));
        }
        Ok(tags)
    })
    .await?;
    let more = page(call, &mut tags, String::as_str, MOST_TAGS)?;
    let next = tags.last().filter(|_| more);
    let next = next.map(|last| link(&format!("/v2/{name}/tags/list"), call, last, tags.len(), &[]));
    Ok(linked(json!({"name": name.as_str(), "tags": tags}), next))
}

/// `GET /v2/_catalog`.
pub(crate) async fn catalog(call: &Call) -> Result<Response<Body>> {
    let store = call.registry.store.clone();
    let names = blocking::run(move || store.repositories()).await?;
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let more = page(call, &mut names, String::as_str, MOST_REPOSITORIES)?;
    let next = names.last().filter(|_| more);
    let next = next.map(|last| link("/v2/_catalog", call, last, names.len(), &[]));
    Ok(linked(json!({"repositories": names}), next))
}

/// Cuts a list that is sorted by `key` to the page that is asked for by `n` and `last`. Returns whether another follows.
pub(crate) fn page<T>(
    call: &Call,
    items: &mut Vec<T>,
    key: impl Fn(&T) -> &str,
    most: usize,
) -> Result<bool> {
    let wanted = match call.query("n") {
        None => None,
        Some(n) => Some(n.parse::<usize>().map_err(|_| {
            Failure::new(Code::Unsupported, "invalid number of results requested")
                .status(StatusCode::BAD_REQUEST)
                .detail(json!({"n": n}))
        })?),
    };
    if let Some(last) = call.query("last") {
        let skip = items.partition_point(|item| key(item) <= last.as_str());
        items.drain(..skip);
    }
    let count = wanted.unwrap_or(most).min(most);
    let more = items.len() > count && count > 0;
    items.truncate(count);
    Ok(more)
}

/// The next page (RFC 8288): `count` items after `last`, with the other parts of the `query`.
pub(crate) fn link(path: &str, call: &Call, last: &str, count: usize, query: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("last", last)
        .append_pair("n", &count.to_string())
        .extend_pairs(query)
        .finish();
    format!("<{}?{query}>; rel=\"next\"", call.location(path))
}

fn linked(document: serde_json::Value, next: Option<String>) -> Response<Body> {
    let mut response = reply::json("application/json", &document);
    if let Some(next) = next {
        reply::set(response.headers_mut(), LINK, &next);
    }
    response
}

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
    let (count, last) = (count(call, MOST_TAGS)?, call.query("last").unwrap_or_default());
    let mut tags = blocking::run(move || {
        let tags = store.tags_after(&repository, &last, count + 1)?;
        if tags.is_empty() && !store.has_repository(&repository)? {
            return Err(Failure::name_unknown(&repository));
        }
        Ok(tags)
    })
    .await?;
    let more = cut(&mut tags, count);
    let next = tags.last().filter(|_| more);
    let next = next.map(|last| link(&format!("/v2/{name}/tags/list"), call, last, tags.len(), &[]));
    Ok(linked(json!({"name": name.as_str(), "tags": tags}), next))
}

/// `GET /v2/_catalog`.
pub(crate) async fn catalog(call: &Call) -> Result<Response<Body>> {
    let store = call.registry.store.clone();
    let (count, last) = (count(call, MOST_REPOSITORIES)?, call.query("last").unwrap_or_default());
    let mut names = blocking::run(move || store.repositories_after(&last, count + 1)).await?;
    let more = cut(&mut names, count);
    let next = names.last().filter(|_| more);
    let next = next.map(|last| link("/v2/_catalog", call, last.as_str(), names.len(), &[]));
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    Ok(linked(json!({"repositories": names}), next))
}

/// How many items are asked for by `n`: `most` if that is more, or nothing is said.
pub(crate) fn count(call: &Call, most: usize) -> Result<usize> {
    let Some(n) = call.query("n") else { return Ok(most) };
    match n.parse::<usize>() {
        Ok(count) => Ok(count.min(most)),
        Err(_) => Err(Failure::new(Code::Unsupported, "invalid number of results requested")
            .status(StatusCode::BAD_REQUEST)
            .detail(json!({"n": n}))),
    }
}

/// Cuts a list to a page of `count` items. Returns whether another page follows: never after one of none.
pub(crate) fn cut<T>(items: &mut Vec<T>, count: usize) -> bool {
    let more = items.len() > count && count > 0;
    items.truncate(count);
    more
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

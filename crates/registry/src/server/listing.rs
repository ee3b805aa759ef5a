//! Lists of tags and repositories, page by page.

use http::Response;
use http::header::LINK;
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
    let more = page(call, &mut tags, MOST_TAGS)?;
    let next = more.then(|| link(&format!("/v2/{name}/tags/list"), call, tags.last(), tags.len()));
    Ok(linked(json!({"name": name.as_str(), "tags": tags}), next))
}

/// `GET /v2/_catalog`.
pub(crate) async fn catalog(call: &Call) -> Result<Response<Body>> {
    let store = call.registry.store.clone();
    let names = blocking::run(move || store.repositories()).await?;
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let more = page(call, &mut names, MOST_REPOSITORIES)?;
    let next = more.then(|| link("/v2/_catalog", call, names.last(), names.len()));
    Ok(linked(json!({"repositories": names}), next))
}

/// Cuts a sorted list to the page that is asked for by `n` and `last`. Returns whether another follows.
fn page(call: &Call, names: &mut Vec<String>, most: usize) -> Result<bool> {
    let wanted = match call.query("n") {
        None => None,
        Some(n) => Some(n.parse::<usize>().map_err(|_| {
            Failure::new(Code::PaginationNumberInvalid, "invalid number of results requested")
                .detail(json!({"n": n}))
        })?),
    };
    if let Some(last) = call.query("last") {
        let skip = names.partition_point(|name| *name <= last);
        names.drain(..skip);
    }
    let count = wanted.unwrap_or(most).min(most);
    let more = names.len() > count && count > 0;
    names.truncate(count);
    Ok(more)
}

/// RFC 8288.
fn link(path: &str, call: &Call, last: Option<&String>, count: usize) -> String {
    let last = last.map(String::as_str).unwrap_or_default();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("last", last)
        .append_pair("n", &count.to_string())
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

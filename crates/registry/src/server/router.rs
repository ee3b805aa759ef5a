//! From a request to its handler.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use http::header::{ALLOW, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::auth::{Action, Need};
use super::call::Call;
use super::failure::{Code, Failure, Result};
use super::reply::{self, Body};
use super::route::{Reference, Route};
use super::{Registry, blobs, listing, manifests, page, receive, referrers, uploads};

/// `Docker-Distribution-Api-Version`: how old clients know a registry.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// `OCI-Namespace`: the upstream that a client named was put in front of the repository's name.
const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");

/// Which part of the registry a socket shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// All of it.
    Registry,
    /// Metrics and health, to everybody.
    Debug,
}

/// Answers a request.
pub(crate) async fn answer(
    registry: Arc<Registry>,
    face: Face,
    request: Request<Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    let call = Call {
        registry,
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        reads: AtomicBool::new(false),
    };
    let route = Route::parse(call.uri.path());
    let label = route.as_ref().ok().and_then(|route| route.as_ref()).map_or("unknown", Route::label);
    let answered = match route {
        Ok(Some(route)) => dispatch(&call, face, route, &mut body).await,
        Ok(None) => Ok(not_found()),
        Err(failure) => Err(failure),
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(failure) => {
            tracing::debug!(method = %call.method, path = call.uri.path(), reason = failure.message(), "refused");
            if !hyper::body::Body::is_end_stream(&body) && !call.holds_body_back() {
                receive::drain(&mut body).await;
            }
            failure.response()
        }
    };
    dress(&call, &mut response);
    let status = response.status().as_u16();
    call.registry.metrics.answered(label, &call.method, status, started.elapsed());
    tracing::info!(
        method = %call.method,
        uri = %call.uri,
        status,
        ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    response
}

/// Headers of every answer.
fn dress(call: &Call, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    if call.uri.path().starts_with("/v2") {
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    }
    if let Some(ns) = call.query("ns").filter(|ns| call.registry.upstreams.prefix(ns).is_some()) {
        reply::set(headers, NAMESPACE, &ns);
    }
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What is configured takes the place of what is there, with all its values.
    let configured = &call.registry.config.headers;
    configured.keys().for_each(|name| drop(headers.remove(name)));
    headers.extend(configured.clone());
}

async fn dispatch(call: &Call, face: Face, route: Route, body: &mut Incoming) -> Result<Response<Body>> {
    let registry = &call.registry;
    if route == Route::Health {
        return Ok(reply::json("application/json", &serde_json::json!({})));
    }
    if face == Face::Debug {
        return match route {
            Route::Metrics => Ok(metrics(registry)),
            _ => Ok(not_found()),
        };
    }
    let route = with_namespace(call, route);
    authorize(call, &route).await?;
    let get = matches!(call.method, Method::GET | Method::HEAD);
    let method = call.method.clone();
    if !get {
        may_write(call, &route)?;
    }
    match route {
        Route::Base if get => Ok(reply::json("application/json", &serde_json::json!({}))),
        Route::Catalog if get => listing::catalog(call).await,
        Route::Tags(name) if get => listing::tags(call, name).await,
        Route::Referrers(name, subject) if get => referrers::get(call, name, subject).await,
        Route::Metrics if get => Ok(metrics(registry)),
        Route::Index if get => page::index(call).await,
        Route::Page(name) if get => page::repository(call, name).await,
        Route::Style if get => Ok(page::style()),
        Route::Blob(name, digest) if get => blobs::get(call, name, digest).await,
        Route::Blob(name, digest) if method == Method::DELETE => blobs::delete(call, name, digest).await,
        Route::Manifest(name, reference) => manifest(call, name, reference, body).await,
        Route::Uploads(name) if method == Method::POST => uploads::start(call, body, name).await,
        Route::Upload(name, id) => match method {
            Method::GET | Method::HEAD => uploads::status(call, name, id).await,
            Method::PATCH => uploads::append(call, body, name, id).await,
            Method::PUT => uploads::finish(call, body, name, id).await,
            Method::DELETE => uploads::abandon(call, name, id).await,
            _ => Err(not_allowed("GET, PATCH, PUT, DELETE")),
        },
        Route::Blob(..) => Err(not_allowed("GET, HEAD, DELETE")),
        Route::Uploads(_) => Err(not_allowed("POST")),
        _ => Err(not_allowed("GET, HEAD")),
    }
}

async fn manifest(
    call: &Call,
    name: super::name::Name,
    reference: std::result::Result<Reference, String>,
    body: &mut Incoming,
) -> Result<Response<Body>> {
    let read = matches!(call.method, Method::GET | Method::HEAD);
    let reference = match reference {
        Ok(reference) => reference,
        Err(text) if read => return Err(Failure::manifest_unknown(&text)),
        Err(text) => {
            let code = if text.contains(':') { Code::DigestInvalid } else { Code::ManifestInvalid };
            return Err(Failure::new(code, "neither a tag nor a digest")
                .detail(serde_json::json!({"reference": text})));
        }
    };
    match call.method {
        Method::GET | Method::HEAD => manifests::get(call, name, reference).await,
        Method::PUT => manifests::put(call, body, name, reference).await,
        Method::DELETE => manifests::delete(call, name, reference).await,
        _ => Err(not_allowed("GET, HEAD, PUT, DELETE")),
    }
}

/// Puts the upstream that a client names by `ns` (as containerd does) in front of the repository's name.
fn with_namespace(call: &Call, route: Route) -> Route {
    let Some(prefix) = call.query("ns").and_then(|ns| call.registry.upstreams.prefix(&ns)) else {
        return route;
    };
    let with =
        |name: super::name::Name| super::name::Name::parse(&format!("{prefix}/{name}")).unwrap_or(name);
    match route {
        Route::Manifest(name, reference) => Route::Manifest(with(name), reference),
        Route::Blob(name, digest) => Route::Blob(with(name), digest),
        Route::Tags(name) => Route::Tags(with(name)),
        Route::Referrers(name, digest) => Route::Referrers(with(name), digest),
        other => other,
    }
}

async fn authorize(call: &Call, route: &Route) -> Result<()> {
    let name = route.name();
    let need = |action| Need { name, action };
    let needs = match (route, &call.method) {
        (Route::Style, _) => return Ok(()),
        (Route::Base, _) => vec![],
        (Route::Catalog | Route::Metrics | Route::Index, _) => vec![need(Action::Catalog)],
        (_, &Method::GET | &Method::HEAD) if !matches!(route, Route::Upload(..)) => vec![need(Action::Pull)],
        (Route::Manifest(..) | Route::Blob(..), &Method::DELETE) => vec![need(Action::Delete)],
        _ => vec![need(Action::Pull), need(Action::Push)],
    };
    call.registry.authority.check(&call.headers, &needs).await
}

/// Whether the registry lets anybody write there.
fn may_write(call: &Call, route: &Route) -> Result<()> {
    let config = &call.registry.config;
    let allowed = match route {
        Route::Manifest(..) if !config.read_only => "GET, HEAD, PUT",
        _ => "GET, HEAD",
    };
    let refuse = |reason: &str| {
        Err(Failure::new(Code::Unsupported, reason).header(ALLOW, HeaderValue::from_static(allowed)))
    };
    if config.read_only {
        return refuse("the registry is read-only");
    }
    if route.name().is_some_and(|name| call.registry.upstreams.find(name).is_some()) {
        return refuse("the repository is a cache of another registry, and read-only");
    }
    let removes = call.method == Method::DELETE && matches!(route, Route::Manifest(..) | Route::Blob(..));
    if removes && !config.delete {
        return refuse("the registry does not delete (storage.delete.enabled)");
    }
    Ok(())
}

fn metrics(registry: &Registry) -> Response<Body> {
    let text = registry.metrics.render(registry.sessions.len());
    reply::typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// What is no part of the interface has none of its error codes either.
fn not_found() -> Response<Body> {
    reply::typed(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n")
}

fn not_allowed(methods: &'static str) -> Failure {
    Failure::new(Code::Unsupported, "the operation is unsupported")
        .header(ALLOW, HeaderValue::from_static(methods))
}

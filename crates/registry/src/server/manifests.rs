//! Manifests, by tag or digest.

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use wharf_oci::{Algorithm, Digest, Hasher};

use super::call::Call;
use super::document::Document;
use super::failure::{Code, Failure, Result};
use super::name::Name;
use super::receive::Patience;
use super::reply::{self, Body};
use super::route::Reference;
use super::store::References;
use super::{Registry, blocking};

/// `OCI-Subject`: says that the registry keeps referrers.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// `OCI-Tag`: the tags that were given by the query. Of the version of the specification to come; without it, only digests
/// by SHA-256 can have a tag.
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Tags that one push gives at most: each is a write that is waited for.
const MOST_TAGS: usize = 32;

/// `Warning` of what could not be checked, in the one form that the specification allows.
const STALE: &str = "299 - \"the upstream does not answer: this may be old\"";

/// A manifest of the registry.
pub(crate) struct Found {
    /// Its digest.
    pub(crate) digest: Digest,
    /// Its bytes.
    pub(crate) data: Vec<u8>,
}

/// `GET` and `HEAD /v2/NAME/manifests/REFERENCE`.
pub(crate) async fn get(call: &Call, name: Name, reference: Reference) -> Result<Response<Body>> {
    let found = match call.registry.upstreams.find(&name) {
        Some(upstream) => upstream.manifest(&call.registry, &name, &reference).await?,
        None => find(&call.registry, &name, &reference).await?.map(|found| (found, false)),
    };
    let (found, stale) = found.ok_or_else(|| Failure::manifest_unknown(&reference.to_string()))?;
    if let Some(response) = reply::unchanged(call, &found.digest) {
        return Ok(response);
    }
    let kind = Document::parse(None, &found.data).map(|document| document.media_type);
    let length = found.data.len().to_string();
    let body = if call.method == Method::HEAD { Vec::new() } else { found.data };
    let mut response = reply::typed(StatusCode::OK, kind.as_deref().unwrap_or("application/json"), body);
    let headers = response.headers_mut();
    reply::set(headers, CONTENT_LENGTH, &length);
    reply::set(headers, ETAG, &reply::etag(&found.digest));
    reply::set(headers, reply::DIGEST, found.digest.as_str());
    if stale {
        reply::set(headers, http::header::WARNING, STALE);
    }
    Ok(response)
}

/// A manifest that is stored here.
pub(crate) async fn find(registry: &Registry, name: &Name, reference: &Reference) -> Result<Option<Found>> {
    let (store, name, reference) = (registry.store.clone(), name.clone(), reference.clone());
    blocking::run(move || {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(tag) => store.tag(&name, &tag)?,
        };
        let Some(digest) = digest else { return Ok(None) };
        Ok(store.manifest(&name, &digest)?.map(|data| Found { digest, data }))
    })
    .await
}

/// `PUT /v2/NAME/manifests/REFERENCE`.
pub(crate) async fn put(
    call: &Call,
    body: &mut Incoming,
    name: Name,
    reference: Reference,
) -> Result<Response<Body>> {
    let data = read(call, body).await?;
    let kind = call.header(CONTENT_TYPE).and_then(|kind| kind.split(';').next()).map(str::trim);
    let document =
        Document::parse(kind, &data).map_err(|reason| Failure::new(Code::ManifestInvalid, reason))?;
    let (tags, algorithm) = match &reference {
        Reference::Digest(digest) => (tags(call)?, digest.algorithm()),
        Reference::Tag(tag) => (vec![tag.clone()], Algorithm::Sha256),
    };
    let mut hasher = Hasher::new(algorithm);
    hasher.update(&data);
    let digest = hasher.finish();
    if let Reference::Digest(wanted) = &reference
        && *wanted != digest
    {
        return Err(Failure::new(Code::DigestInvalid, "provided digest did not match uploaded content")
            .detail(serde_json::json!({"digest": wanted, "uploaded": digest})));
    }
    let subject = document.subject.clone();
    let (store, repository, stored) = (call.registry.store.clone(), name.clone(), digest.clone());
    let named = tags.clone();
    blocking::run(move || {
        let tags: Vec<&str> = named.iter().map(String::as_str).collect();
        store.put_manifest(&repository, &tags, &stored, (&data, &document), References::AreHere)
    })
    .await?;
    let mut response = reply::empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    reply::set(headers, LOCATION, &call.location(&format!("/v2/{name}/manifests/{digest}")));
    reply::set(headers, reply::DIGEST, digest.as_str());
    if let Some(subject) = subject {
        reply::set(headers, OCI_SUBJECT, subject.as_str());
    }
    if matches!(reference, Reference::Digest(_)) && !tags.is_empty() {
        reply::set(headers, OCI_TAG, &tags.join(","));
    }
    Ok(response)
}

/// The tags that a push by digest gives its manifest.
fn tags(call: &Call) -> Result<Vec<String>> {
    let tags: Vec<_> = call.queries("tag").collect();
    if tags.len() > MOST_TAGS {
        let message = format!("more than {MOST_TAGS} tags at once");
        return Err(Failure::new(Code::Unsupported, message).status(StatusCode::URI_TOO_LONG));
    }
    match tags.iter().find(|tag| !wharf_oci::reference::is_tag(tag)) {
        None => Ok(tags),
        Some(wrong) => {
            Err(Failure::new(Code::ManifestInvalid, "not a tag").detail(serde_json::json!({"tag": wrong})))
        }
    }
}

/// `DELETE /v2/NAME/manifests/REFERENCE`.
pub(crate) async fn delete(call: &Call, name: Name, reference: Reference) -> Result<Response<Body>> {
    let store = call.registry.store.clone();
    blocking::run(move || match reference {
        Reference::Digest(digest) => store.delete_manifest(&name, &digest),
        Reference::Tag(tag) => store.delete_tag(&name, &tag),
    })
    .await?;
    Ok(reply::empty(StatusCode::ACCEPTED))
}

/// The whole body, if it is no larger than a manifest may be.
async fn read(call: &Call, body: &mut Incoming) -> Result<bytes::Bytes> {
    let limit = call.registry.config.manifest_limit;
    let said = call.header(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    let mut data = BytesMut::new();
    let mut fits = said.is_none_or(|length| length <= limit);
    if fits {
        call.reads_body();
    }
    let mut patience = Patience::new(call.registry.config.body_timeout);
    while fits {
        let Some(part) = patience.next(body, Code::ManifestInvalid).await? else { return Ok(data.freeze()) };
        fits = data.len() + part.len() <= limit;
        if fits {
            data.extend_from_slice(&part);
        }
    }
    Err(Failure::new(Code::SizeInvalid, format!("the manifest is larger than {limit} bytes"))
        .status(StatusCode::PAYLOAD_TOO_LARGE))
}

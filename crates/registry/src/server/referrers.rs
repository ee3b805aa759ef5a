//! The manifests that say something about another one: signatures, bills of materials.
//!
//! The index beside the repository ([`super::layout`]) is written with each manifest. A folder that another registry wrote
//! to has none, or one that is not whole: therefore it is completed the first time that this process is asked about a
//! repository.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Response;
use http::header::{HeaderName, LINK};
use serde_json::json;
use wharf_oci::Digest;
use wharf_oci::image::{Descriptor, media_type};

use super::call::Call;
use super::document::Document;
use super::failure::Result;
use super::name::Name;
use super::reply::{self, Body};
use super::storage::Hold;
use super::store::Store;
use super::{blocking, layout, listing};

/// `OCI-Filters-Applied`.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Referrers in an answer at most: clients read no larger documents than manifests may be.
const MOST: usize = 1000;

/// Repositories whose index was completed by this process.
#[derive(Default)]
pub(crate) struct Completed(Mutex<HashSet<Name>>);

impl Completed {
    fn names(&self) -> MutexGuard<'_, HashSet<Name>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /v2/NAME/referrers/DIGEST`.
pub(crate) async fn get(call: &Call, name: Name, subject: Digest) -> Result<Response<Body>> {
    let path = format!("/v2/{name}/referrers/{subject}");
    let (registry, count) = (call.registry.clone(), listing::count(call, MOST)?);
    let mut found = blocking::run(move || {
        if registry.config.read_only {
            return scan(&registry.store, &name, &subject);
        }
        if !registry.completed.names().contains(&name) {
            complete(&registry.store, &name)?;
            registry.completed.names().insert(name.clone());
        }
        list(&registry.store, &name, &subject)
    })
    .await?;
    let kind = call.query("artifactType").filter(|kind| !kind.is_empty());
    if let Some(kind) = &kind {
        found.retain(|descriptor| descriptor.artifact_type.as_ref() == Some(kind));
    }
    if let Some(last) = call.query("last") {
        found.retain(|descriptor| descriptor.digest.as_str() > last.as_str());
    }
    found.sort_by(|a, b| a.digest.cmp(&b.digest));
    let more = listing::cut(&mut found, count);
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": found});
    let mut response = reply::json(media_type::OCI_INDEX, &index);
    if kind.is_some() {
        reply::set(response.headers_mut(), FILTERS_APPLIED, "artifactType");
    }
    if let Some(last) = found.last().filter(|_| more) {
        let filter: Vec<_> = kind.iter().map(|kind| ("artifactType", kind.as_str())).collect();
        let next = listing::link(&path, call, last.digest.as_str(), found.len(), &filter);
        reply::set(response.headers_mut(), LINK, &next);
    }
    Ok(response)
}

fn list(store: &Store, name: &Name, subject: &Digest) -> Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    for digest in store.digests(&layout::referrers(name, subject))? {
        found.extend(descriptor(store, name, digest, subject)?);
    }
    Ok(found)
}

/// As [`list`], without an index.
fn scan(store: &Store, name: &Name, subject: &Digest) -> Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    for digest in store.revisions(name)? {
        found.extend(descriptor(store, name, digest, subject)?);
    }
    Ok(found)
}

fn descriptor(store: &Store, name: &Name, digest: Digest, subject: &Digest) -> Result<Option<Descriptor>> {
    let Some(data) = store.manifest(name, &digest)? else { return Ok(None) };
    Ok(Document::parse(None, &data)
        .ok()
        .filter(|document| document.subject.as_ref() == Some(subject))
        .map(|document| document.descriptor(digest, data.len() as u64)))
}

/// Writes the entries that another registry did not write.
fn complete(store: &Store, name: &Name) -> Result<()> {
    for digest in store.revisions(name)? {
        let _held = store.storage.hold(Hold::Shared)?;
        let Some(data) = store.manifest(name, &digest)? else { continue };
        if let Ok(Document { subject: Some(subject), .. }) = Document::parse(None, &data) {
            store.link(&layout::linked(&layout::referrers(name, &subject), &digest), &digest)?;
        }
    }
    Ok(())
}

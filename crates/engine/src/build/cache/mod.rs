//! Caches that builds share beyond one engine: `--cache-from` and `--cache-to`.
//!
//! - `document`: what lies there, as pure functions
//! - `import`: results that others have, fetched when something needs their layers
//! - `export`: results for others

mod document;
mod export;
mod import;

use std::collections::BTreeMap;

use wharf_api::build::CacheEntry;
use wharf_oci::Reference;

pub(super) use self::{export::inline, import::Imports};
use super::BuildRequest;
use crate::{Error, Result};

/// Where results come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// A repository, or an image that is here and has a cache of its own; with its name as it was given.
    Registry(Reference, String),
    /// A folder of the client, by its place in the request.
    Folder { place: usize, tag: String, digest: Option<String> },
}

/// Where results go.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Registry(Reference),
    Folder {
        place: usize,
        tag: String,
    },
    /// The configuration of the image itself.
    Inline,
}

/// A cache that results go to.
#[derive(Debug, Clone)]
pub(super) struct Export {
    target: Target,
    /// Layers of all steps, not only those of the result.
    max: bool,
    /// It may fail.
    ignore_error: bool,
    /// Media types of OCI, not Docker's.
    oci: bool,
    /// An image manifest, not an index.
    image_manifest: bool,
}

/// The caches that results come from.
///
/// # Errors
/// In the words of the reference builder.
pub(super) fn sources(entries: &[CacheEntry]) -> Result<Vec<Source>> {
    let source = |(place, entry): (usize, &CacheEntry)| {
        let get = |name: &str| entry.attributes.get(name).cloned();
        match entry.kind.as_str() {
            "registry" => {
                let name = get("ref").unwrap_or_default();
                Ok(Source::Registry(reference(get("ref"), "importer")?, name))
            }
            "local" => Ok(Source::Folder { place, tag: tag(get("tag")), digest: get("digest") }),
            other => Err(Error::invalid(format!("unknown cache importer: {other}"))),
        }
    };
    entries.iter().enumerate().map(source).collect()
}

/// The caches that results go to.
///
/// # Errors
/// In the words of the reference builder; what would change the result and cannot be done is refused by name.
pub(super) fn exports(request: &BuildRequest) -> Result<Vec<Export>> {
    let mut exports = request
        .cache_to
        .iter()
        .enumerate()
        .map(|(place, entry)| export(place, entry))
        .collect::<Result<Vec<_>>>()?;
    let asked = request.options.build_args.get("BUILDKIT_INLINE_CACHE").map(String::as_str);
    if matches!(asked, Some("1" | "true")) {
        exports.push(export(0, &CacheEntry { kind: "inline".to_owned(), attributes: BTreeMap::new() })?);
    }
    Ok(exports)
}

fn export(place: usize, entry: &CacheEntry) -> Result<Export> {
    let get = |name: &str| entry.attributes.get(name).cloned();
    let target = match entry.kind.as_str() {
        "registry" => Target::Registry(reference(get("ref"), "exporter")?),
        "local" => Target::Folder { place, tag: tag(get("tag")) },
        "inline" => Target::Inline,
        other => return Err(Error::invalid(format!("unknown cache exporter: {other:?}"))),
    };
    let max = match get("mode").as_deref() {
        None | Some("" | "min") => false,
        Some("max") => true,
        Some(other) => return Err(Error::invalid(format!("unsupported cache mode: {other}"))),
    };
    match get("compression").as_deref() {
        None | Some("gzip") => {}
        Some(other) => {
            return Err(Error::not_implemented(format!("cache compression {other:?} is not supported")));
        }
    }
    let oci = flag(get("oci-mediatypes"), "oci-mediatypes", true)?;
    let image_manifest = flag(get("image-manifest"), "image-manifest", oci)?;
    if image_manifest && !oci {
        return Err(Error::invalid("cannot export cache manifest as image manifest without oci-mediatypes"));
    }
    let ignore_error = flag(get("ignore-error"), "ignore-error", false)?;
    Ok(Export { target, max, ignore_error, oci, image_manifest })
}

fn reference(given: Option<String>, what: &str) -> Result<Reference> {
    let given = given.ok_or_else(|| Error::invalid(format!("registry cache {what} requires ref")))?;
    Ok(Reference::parse(&given)?.with_default_tag())
}

fn tag(given: Option<String>) -> String {
    given.filter(|tag| !tag.is_empty()).unwrap_or_else(|| "latest".to_owned())
}

/// As Go reads it.
fn flag(given: Option<String>, name: &str, default: bool) -> Result<bool> {
    match given.as_deref() {
        None => Ok(default),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(Error::invalid(format!("failed to parse {name}: invalid value {other:?}"))),
    }
}

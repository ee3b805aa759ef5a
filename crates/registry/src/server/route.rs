//! What a path means. Names of repositories contain slashes, so paths are read from their end.

use std::fmt;

use percent_encoding::percent_decode_str;
use wharf_oci::Digest;

use super::failure::{Code, Failure, Result};
use super::name::Name;

/// How a manifest is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// By a tag.
    Tag(String),
    /// By its digest.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => f.write_str(digest.as_str()),
        }
    }
}

impl Reference {
    /// Reads a reference; `None` for what is neither a tag nor a digest.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match Digest::parse(text) {
            Ok(digest) => Some(Self::Digest(digest)),
            Err(_) => wharf_oci::reference::is_tag(text).then(|| Self::Tag(text.to_owned())),
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v2/`.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/NAME/tags/list`.
    Tags(Name),
    /// `/v2/NAME/manifests/REFERENCE`; a malformed reference is `Err`.
    Manifest(Name, std::result::Result<Reference, String>),
    /// `/v2/NAME/blobs/DIGEST`.
    Blob(Name, Digest),
    /// `/v2/NAME/blobs/uploads/`.
    Uploads(Name),
    /// `/v2/NAME/blobs/uploads/ID`.
    Upload(Name, String),
    /// `/v2/NAME/referrers/DIGEST`.
    Referrers(Name, Digest),
    /// `/metrics`.
    Metrics,
    /// `/healthz`, and the reference registry's `/debug/health`.
    Health,
    /// `/`, the page of all repositories.
    Index,
    /// `/r/NAME`, the page of a repository.
    Page(Name),
    /// `/style.css`, for the pages.
    Style,
}

impl Route {
    /// Reads a path. `Ok(None)` if it means nothing.
    ///
    /// # Errors
    /// `NAME_INVALID` and `DIGEST_INVALID` for malformed parts.
    pub(crate) fn parse(path: &str) -> Result<Option<Self>> {
        let Ok(path) = percent_decode_str(path).decode_utf8() else { return Ok(None) };
        let rest = match &*path {
            "/" => return Ok(Some(Self::Index)),
            "/metrics" => return Ok(Some(Self::Metrics)),
            "/healthz" | "/debug/health" => return Ok(Some(Self::Health)),
            "/style.css" => return Ok(Some(Self::Style)),
            "/v2" | "/v2/" => return Ok(Some(Self::Base)),
            "/v2/_catalog" => return Ok(Some(Self::Catalog)),
            path => match (path.strip_prefix("/v2/"), path.strip_prefix("/r/")) {
                (Some(rest), _) => rest,
                (None, Some(page)) => return Ok(Name::parse(page).map(Self::Page)),
                (None, None) => return Ok(None),
            },
        };
        Self::of_repository(rest)
    }

    fn of_repository(path: &str) -> Result<Option<Self>> {
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Some(Self::Tags(parse_name(name)?)));
        }
        if let Some(name) =
            path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads"))
        {
            return Ok(Some(Self::Uploads(parse_name(name)?)));
        }
        let Some((rest, last)) = path.rsplit_once('/') else { return Ok(None) };
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return Ok(Some(Self::Upload(parse_name(name)?, last.to_owned())));
        }
        if let Some(name) = rest.strip_suffix("/blobs") {
            return Ok(Some(Self::Blob(parse_name(name)?, parse_digest(last)?)));
        }
        if let Some(name) = rest.strip_suffix("/referrers") {
            return Ok(Some(Self::Referrers(parse_name(name)?, parse_digest(last)?)));
        }
        if let Some(name) = rest.strip_suffix("/manifests") {
            let reference = Reference::parse(last).ok_or_else(|| last.to_owned());
            return Ok(Some(Self::Manifest(parse_name(name)?, reference)));
        }
        Ok(None)
    }

    /// The repository it is about.
    pub(crate) fn name(&self) -> Option<&Name> {
        match self {
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _)
            | Self::Page(name) => Some(name),
            Self::Base | Self::Catalog | Self::Metrics | Self::Health | Self::Index | Self::Style => None,
        }
    }

    /// What it is called in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags(_) => "tags",
            Self::Manifest(..) => "manifest",
            Self::Blob(..) => "blob",
            Self::Uploads(_) | Self::Upload(..) => "upload",
            Self::Referrers(..) => "referrers",
            Self::Metrics => "metrics",
            Self::Health => "health",
            Self::Index | Self::Page(_) | Self::Style => "page",
        }
    }
}

fn parse_name(name: &str) -> Result<Name> {
    Name::parse(name).ok_or_else(|| {
        Failure::new(Code::NameInvalid, "invalid repository name").detail(serde_json::json!({"name": name}))
    })
}

/// Reads a digest that a client sent.
///
/// # Errors
/// `DIGEST_INVALID`.
pub(crate) fn parse_digest(digest: &str) -> Result<Digest> {
    Digest::parse(digest).map_err(|error| {
        Failure::new(Code::DigestInvalid, format!("invalid digest: {error}"))
            .detail(serde_json::json!({"digest": digest}))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn paths() {
        let route = |path: &str| Route::parse(&path.replace("DIGEST", DIGEST)).unwrap();
        let name = |text: &str| Name::parse(text).unwrap();
        let digest = Digest::parse(DIGEST).unwrap();
        let tag = |tag: &str| Ok(Reference::Tag(tag.to_owned()));
        assert_eq!(route("/v2/"), Some(Route::Base));
        assert_eq!(route("/v2/a/b/tags/list"), Some(Route::Tags(name("a/b"))));
        assert_eq!(route("/v2/a/manifests/v1"), Some(Route::Manifest(name("a"), tag("v1"))));
        let manifest = Route::Manifest(name("a"), Ok(Reference::Digest(digest.clone())));
        assert_eq!(route("/v2/a/manifests/DIGEST"), Some(manifest.clone()));
        assert_eq!(route("/v2/a/manifests/sha256%3A".to_owned().as_str()), {
            Some(Route::Manifest(name("a"), Err("sha256:".to_owned())))
        });
        assert_eq!(route("/v2/a/blobs/DIGEST"), Some(Route::Blob(name("a"), digest.clone())));
        assert_eq!(route("/v2/a/blobs/uploads/"), Some(Route::Uploads(name("a"))));
        assert_eq!(route("/v2/a/blobs/uploads/x"), Some(Route::Upload(name("a"), "x".to_owned())));
        assert_eq!(route("/v2/a/referrers/DIGEST"), Some(Route::Referrers(name("a"), digest)));
        // Parts of a name that read like parts of the interface.
        assert_eq!(route("/v2/tags/list/tags/list"), Some(Route::Tags(name("tags/list"))));
        assert_eq!(route("/v2/blobs/uploads/manifests/v1").unwrap().name(), Some(&name("blobs/uploads")));
        assert_eq!((route("/v2/a"), route("/v1/"), route("/v2/a/b/c")), (None, None, None));
    }

    #[test]
    fn malformed_parts() {
        let code = |path: &str| Route::parse(path).unwrap_err().code();
        assert_eq!(code("/v2/A/tags/list"), Code::NameInvalid);
        assert_eq!(code("/v2/a/../b/tags/list"), Code::NameInvalid);
        assert_eq!(code("/v2/a%2f..%2fb/tags/list"), Code::NameInvalid);
        assert_eq!(code("/v2/a/blobs/sha256:ab"), Code::DigestInvalid);
        assert_eq!(code("/v2/a/referrers/x"), Code::DigestInvalid);
    }
}

//! Where things lie: the layout of the reference registry, so that either can serve the other's folder.
//!
//! ```text
//! docker/registry/v2/
//!   blobs/<algorithm>/<first two digits>/<hex>/data
//!   repositories/<name>/
//!     _layers/<algorithm>/<hex>/link                 the repository may serve this blob
//!     _manifests/revisions/<algorithm>/<hex>/link    the repository has this manifest
//!     _manifests/tags/<tag>/current/link             what the tag names
//!     _manifests/tags/<tag>/index/<algorithm>/<hex>/link    what it ever named
//!     _uploads/<id>/{data,startedat}
//!     _referrers/<algorithm>/<hex>/<algorithm>/<hex>/link   ours: subject, then the manifest that refers to it
//! ```
//! A link is a file with a digest in it.

use wharf_oci::Digest;

use super::name::Name;

const ROOT: &str = "docker/registry/v2";

/// The folder of all repositories.
pub(crate) fn repositories() -> String {
    format!("{ROOT}/repositories")
}

/// The folder of a repository.
pub(crate) fn repository(name: &Name) -> String {
    format!("{ROOT}/repositories/{name}")
}

/// The folder of all blobs.
pub(crate) fn blobs() -> String {
    format!("{ROOT}/blobs")
}

/// The folder of a blob.
pub(crate) fn blob_folder(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{ROOT}/blobs/{}/{}/{hex}", digest.algorithm().as_str(), &hex[..2])
}

/// The bytes of a blob.
pub(crate) fn blob(digest: &Digest) -> String {
    format!("{}/data", blob_folder(digest))
}

/// The folder of a repository's blobs.
pub(crate) fn layers(name: &Name) -> String {
    format!("{}/_layers", repository(name))
}

/// The folder of a link that lets a repository serve a blob.
pub(crate) fn layer(name: &Name, digest: &Digest) -> String {
    linked(&layers(name), digest)
}

/// The folder of a repository's manifests.
pub(crate) fn revisions(name: &Name) -> String {
    format!("{}/_manifests/revisions", repository(name))
}

/// The folder of a link that says that a repository has a manifest.
pub(crate) fn revision(name: &Name, digest: &Digest) -> String {
    linked(&revisions(name), digest)
}

/// The folder of a repository's tags.
pub(crate) fn tags(name: &Name) -> String {
    format!("{}/_manifests/tags", repository(name))
}

/// The folder of a tag.
pub(crate) fn tag(name: &Name, tag: &str) -> String {
    format!("{}/{tag}", tags(name))
}

/// The link to what a tag names.
pub(crate) fn tag_current(name: &Name, tag: &str) -> String {
    format!("{}/{tag}/current/link", tags(name))
}

/// The folder of what a tag ever named.
pub(crate) fn tag_index(name: &Name, tag: &str) -> String {
    format!("{}/{tag}/index", tags(name))
}

/// The folder of a repository's uploads.
pub(crate) fn uploads(name: &Name) -> String {
    format!("{}/_uploads", repository(name))
}

/// The folder of an upload.
pub(crate) fn upload(name: &Name, id: &str) -> String {
    format!("{}/{id}", uploads(name))
}

/// The bytes of an upload.
pub(crate) fn upload_data(name: &Name, id: &str) -> String {
    format!("{}/{id}/data", uploads(name))
}

/// When an upload began.
pub(crate) fn upload_started(name: &Name, id: &str) -> String {
    format!("{}/{id}/startedat", uploads(name))
}

/// The folder of the manifests that refer to `subject`.
pub(crate) fn referrers(name: &Name, subject: &Digest) -> String {
    linked(&format!("{}/_referrers", repository(name)), subject)
}

/// The folder of the entry `digest` in a folder that is sorted by digests.
pub(crate) fn linked(folder: &str, digest: &Digest) -> String {
    format!("{folder}/{}/{}", digest.algorithm().as_str(), digest.hex())
}

//! "Deleting tags", "Deleting manifests", "Deleting blobs".

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{MANIFEST, Server};

/// A server with an image under two tags; the path of its manifest.
fn with_image(flags: &[&str]) -> (Server, String) {
    let server = Server::start(flags);
    let digest = server.image("a", "v1", b"layer");
    let manifest = server.get("/v2/a/manifests/v1").body;
    assert_eq!(server.put("a", "v2", MANIFEST, &manifest).status, 201);
    (server, format!("/v2/a/manifests/{digest}"))
}

fn blob() -> String {
    format!("/v2/a/blobs/{}", sha256(b"layer"))
}

/// "Upon success, the registry MUST respond with a `202 Accepted` code", to the deletion of a tag.
#[test]
fn a_tag_is_deleted_with_202() {
    assert_eq!(with_image(&["--delete"]).0.delete("/v2/a/manifests/v1").status, 202);
}

/// "Once deleted, a `GET` to `/v2/<name>/manifests/<tag>` will return a 404"; the manifest and its other tags stay.
#[test]
fn a_deleted_tag_is_404_and_takes_nothing_along() {
    let (server, manifest) = with_image(&["--delete"]);
    server.delete("/v2/a/manifests/v1");
    server.get("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    server.delete("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(server.get(&manifest).status, 200);
    assert_eq!(server.get("/v2/a/tags/list").json()["tags"], json!(["v2"]));
}

/// "If tag deletion is disabled, the registry MUST respond with either a `400 Bad Request` or a `405 Method Not Allowed`".
#[test]
fn deletion_of_tags_that_is_off_is_405() {
    let (server, _) = with_image(&[]);
    server.delete("/v2/a/manifests/v1").refused(405, "UNSUPPORTED");
    assert_eq!(server.get("/v2/a/manifests/v1").status, 200);
}

/// "Upon success, the registry MUST respond with a `202 Accepted` code", to the deletion of a manifest.
#[test]
fn a_manifest_is_deleted_with_202() {
    let (server, manifest) = with_image(&["--delete"]);
    assert_eq!(server.delete(&manifest).status, 202);
}

/// "If the repository does not exist, the response MUST return `404 Not Found`"; so of a manifest.
#[test]
fn deletion_of_no_manifest_is_404() {
    let (server, manifest) = with_image(&["--delete"]);
    server.delete(&manifest.replace("/a/", "/none/")).refused(404, "MANIFEST_UNKNOWN");
    server.delete(&format!("/v2/a/manifests/{}", sha256(b"none"))).refused(404, "MANIFEST_UNKNOWN");
}

/// "If manifest deletion is disabled, the registry MUST respond with either a `400 Bad Request` or a `405 Method Not
/// Allowed`".
#[test]
fn deletion_of_manifests_that_is_off_is_405() {
    let (server, manifest) = with_image(&[]);
    server.delete(&manifest).refused(405, "UNSUPPORTED");
    assert_eq!(server.get(&manifest).status, 200);
}

/// "Once deleted, a `GET` to `/v2/<name>/manifests/<digest>` and any tag pointing to that digest will return a 404".
#[test]
fn a_deleted_manifest_is_404_and_takes_its_tags_along() {
    let (server, manifest) = with_image(&["--delete"]);
    server.delete(&manifest);
    for path in [&*manifest, "/v2/a/manifests/v1", "/v2/a/manifests/v2"] {
        server.get(path).refused(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(server.get("/v2/a/tags/list").json()["tags"], json!([]));
}

/// "Upon success, the registry MUST respond with code `202 Accepted`", to the deletion of a blob.
#[test]
fn a_blob_is_deleted_with_202() {
    let (server, _) = with_image(&["--delete"]);
    assert_eq!(server.delete(&blob()).status, 202);
    server.get(&blob()).refused(404, "BLOB_UNKNOWN");
}

/// "If the blob is not found, a `404 Not Found` code MUST be returned".
#[test]
fn deletion_of_no_blob_is_404() {
    let (server, _) = with_image(&["--delete"]);
    for path in [blob().replace("/a/", "/none/"), format!("/v2/a/blobs/{}", sha256(b"none"))] {
        server.delete(&path).refused(404, "BLOB_UNKNOWN");
    }
}

/// "If blob deletion is disabled, the registry MUST respond with either a `400 Bad Request` or a `405 Method Not Allowed`".
#[test]
fn deletion_of_blobs_that_is_off_is_405() {
    let (server, _) = with_image(&[]);
    server.delete(&blob()).refused(405, "UNSUPPORTED");
    assert_eq!(server.get(&blob()).status, 200);
}

/// A deletion is of one repository.
#[test]
fn a_blob_of_two_repositories_is_deleted_from_one() {
    let server = Server::start(&["--delete"]);
    let digest = server.blob("a", b"shared");
    server.blob("b", b"shared");
    assert_eq!(server.delete(&format!("/v2/a/blobs/{digest}")).status, 202);
    assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    assert_eq!(server.get(&format!("/v2/b/blobs/{digest}")).status, 200);
}

/// What was deleted can be pushed again.
#[test]
fn what_was_deleted_comes_back() {
    let (server, manifest) = with_image(&["--delete"]);
    server.delete(&manifest);
    server.delete(&blob());
    server.image("a", "v1", b"layer");
    assert_eq!(server.get("/v2/a/manifests/v1").status, 200);
    assert_eq!(server.get(&blob()).body, b"layer");
}

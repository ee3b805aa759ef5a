//! "Content management": deleting, and refusing to.

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{MANIFEST, Server};

#[test]
fn tags_manifests_and_blobs_are_deleted() {
    let server = Server::start(&["--delete"]);
    let digest = server.image("a", "v1", b"layer");
    let manifest = server.get("/v2/a/manifests/v1").body;
    server.put("a", "v2", MANIFEST, &manifest);
    // A tag goes, what it named stays.
    assert_eq!(server.delete("/v2/a/manifests/v1").status, 202);
    server.get("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(server.get(&format!("/v2/a/manifests/{digest}")).status, 200);
    server.delete("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    // A manifest takes its tags with it.
    assert_eq!(server.delete(&format!("/v2/a/manifests/{digest}")).status, 202);
    server.get("/v2/a/manifests/v2").refused(404, "MANIFEST_UNKNOWN");
    server.get(&format!("/v2/a/manifests/{digest}")).refused(404, "MANIFEST_UNKNOWN");
    server.delete(&format!("/v2/a/manifests/{digest}")).refused(404, "MANIFEST_UNKNOWN");
    assert_eq!(server.get("/v2/a/tags/list").json()["tags"], json!([]));
    let blob = format!("/v2/a/blobs/{}", sha256(b"layer"));
    assert_eq!(server.delete(&blob).status, 202);
    server.get(&blob).refused(404, "BLOB_UNKNOWN");
    server.delete(&blob).refused(404, "BLOB_UNKNOWN");
    // All of it can come back.
    assert_eq!(server.image("a", "v1", b"layer"), digest);
    assert_eq!(server.get("/v2/a/manifests/v1").status, 200);
}

#[test]
fn a_blob_of_two_repositories_is_deleted_from_one() {
    let server = Server::start(&["--delete"]);
    let digest = server.blob("a", b"shared");
    server.blob("b", b"shared");
    assert_eq!(server.delete(&format!("/v2/a/blobs/{digest}")).status, 202);
    assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    assert_eq!(server.get(&format!("/v2/b/blobs/{digest}")).status, 200);
}

#[test]
fn deletion_is_off_unless_it_is_on() {
    let server = Server::start(&[]);
    let digest = server.image("a", "v1", b"layer");
    for path in [
        format!("/v2/a/manifests/{digest}"),
        "/v2/a/manifests/v1".to_owned(),
        format!("/v2/a/blobs/{}", sha256(b"layer")),
    ] {
        server.delete(&path).refused(405, "UNSUPPORTED");
    }
    assert_eq!(server.get("/v2/a/manifests/v1").status, 200);
    // An upload is the client's own.
    assert_eq!(server.delete(&server.begin("a")).status, 204);
}

#[test]
fn a_read_only_registry() {
    let folder = tempfile::tempdir().unwrap();
    let digest = Server::at(folder.path(), &[], &[]).image("a", "v1", b"layer");
    let variable = [("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")];
    let server = Server::at(folder.path(), &["--delete"], &variable);
    let manifest = server.get("/v2/a/manifests/v1");
    assert_eq!((manifest.status, manifest.header("docker-content-digest")), (200, Some(digest.as_str())));
    server.send("POST", "/v2/a/blobs/uploads/", &[], b"").refused(405, "UNSUPPORTED");
    server.put("a", "v2", MANIFEST, &manifest.body).refused(405, "UNSUPPORTED");
    server.delete("/v2/a/manifests/v1").refused(405, "UNSUPPORTED");
}

#[test]
fn methods_that_make_no_sense() {
    let server = Server::start(&[]);
    let digest = server.blob("a", b"blob");
    for (method, path) in [
        ("POST", "/v2/".to_owned()),
        ("DELETE", "/v2/_catalog".to_owned()),
        ("PUT", format!("/v2/a/blobs/{digest}")),
        ("POST", "/v2/a/manifests/v1".to_owned()),
        ("POST", format!("/v2/a/referrers/{digest}")),
        ("BREW", "/v2/a/tags/list".to_owned()),
        ("GET", "/v2/a/blobs/uploads/".to_owned()),
    ] {
        server.send(method, &path, &[], b"").refused(405, "UNSUPPORTED");
    }
}

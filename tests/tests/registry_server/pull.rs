//! "Pull": manifests and blobs, HEAD, ranges.

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{MANIFEST, Server, noise};

#[test]
fn the_base_answers_and_says_what_it_is() {
    let server = Server::start(&[]);
    for path in ["/v2/", "/v2"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    }
    assert_eq!(server.get("/v3/").status, 404);
}

#[test]
fn a_manifest_is_the_bytes_that_were_pushed() {
    let server = Server::start(&[]);
    // White space, order and unknown fields count: the digest is of the bytes.
    let mut manifest = b"\n  ".to_vec();
    manifest.extend(server.manifest("a/b", &json!({"unknown": {"z": 1, "a": [2]}})));
    let digest = sha256(&manifest);
    assert_eq!(server.put("a/b", "v1", MANIFEST, &manifest).status, 201);
    for reference in ["v1", &digest] {
        let path = format!("/v2/a/b/manifests/{reference}");
        let answer = server.get(&path);
        assert_eq!((answer.status, &answer.body), (200, &manifest));
        assert_eq!(answer.header("content-type"), Some(MANIFEST));
        assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
        let head = server.head(&path);
        assert_eq!((head.status, head.header("content-type")), (200, Some(MANIFEST)));
        assert_eq!(head.header("content-length"), Some(manifest.len().to_string().as_str()));
        assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()));
    }
    let etag = format!("\"{digest}\"");
    let unchanged = server.send("GET", "/v2/a/b/manifests/v1", &[("If-None-Match", &etag)], b"");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
}

#[test]
fn what_is_not_there_is_404() {
    let server = Server::start(&[]);
    server.image("here", "v1", b"layer");
    let none = sha256(b"none");
    for name in ["here", "nowhere"] {
        for reference in ["v2", ".INVALID", &none] {
            let path = format!("/v2/{name}/manifests/{reference}");
            server.get(&path).refused(404, "MANIFEST_UNKNOWN");
            assert_eq!(server.head(&path).status, 404);
        }
        let path = format!("/v2/{name}/blobs/{none}");
        server.get(&path).refused(404, "BLOB_UNKNOWN");
        assert_eq!(server.head(&path).status, 404);
    }
    // A blob of one repository is not one of another.
    server.get(&format!("/v2/nowhere/blobs/{}", sha256(b"layer"))).refused(404, "BLOB_UNKNOWN");
}

#[test]
fn malformed_names_and_digests_are_refused() {
    let server = Server::start(&[]);
    server.get("/v2/UPPER/tags/list").refused(400, "NAME_INVALID");
    server.get("/v2/a/../b/tags/list").refused(400, "NAME_INVALID");
    server.get("/v2/a%2F..%2F..%2Fb/manifests/v1").refused(400, "NAME_INVALID");
    for digest in ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:..%2f..%2fetc"] {
        let answer = server.get(&format!("/v2/a/blobs/{digest}"));
        assert!([400, 404].contains(&answer.status), "{answer:?}");
    }
    server.get("/v2/a/blobs/sha256:abc").refused(400, "DIGEST_INVALID");
}

#[test]
fn a_blob_is_read_whole_and_in_parts() {
    let server = Server::start(&[]);
    let data = noise(700_000);
    let digest = server.blob("a", &data);
    let path = format!("/v2/a/blobs/{digest}");
    let whole = server.get(&path);
    assert_eq!((whole.status, whole.body == data), (200, true));
    assert_eq!(whole.header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let head = server.head(&path);
    assert_eq!((head.status, head.header("content-length")), (200, Some("700000")));
    for (range, start, end) in [
        ("0-0", 0, 1),
        ("5-9", 5, 10),
        ("699990-", 699_990, 700_000),
        ("-7", 699_993, 700_000),
        ("1-9999999", 1, 700_000),
    ] {
        let part = server.send("GET", &path, &[("Range", &format!("bytes={range}"))], b"");
        assert_eq!((part.status, part.body == data[start..end]), (206, true), "{range}");
        let expected = format!("bytes {start}-{}/700000", end - 1);
        assert_eq!(part.header("content-range"), Some(expected.as_str()));
    }
    let beyond = server.send("GET", &path, &[("Range", "bytes=700000-")], b"");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */700000")));
    let etag = whole.header("etag").unwrap();
    assert_eq!(server.send("GET", &path, &[("If-None-Match", etag)], b"").status, 304);
    let stale = [("Range", "bytes=0-1"), ("If-Range", "\"other\"")];
    assert_eq!(server.send("GET", &path, &stale, b"").body.len(), 700_000);
}

#[test]
fn a_folder_of_the_reference_registry_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let reference = wharf_tests::Registry::start(folder.path());
    let image = wharf_tests::Archive::busybox("moved");
    let name = reference.push(&image, "group/app:v1");
    let digest = reference.digest(&name);
    drop(reference);
    let storage = folder.path().join("registry/storage");
    let server = Server::at(&storage, &[], &[]);
    assert_eq!(server.get("/v2/_catalog").json()["repositories"], json!(["group/app"]));
    let answer = server.get("/v2/group/app/manifests/v1");
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    for layer in answer.json()["layers"].as_array().unwrap() {
        let layer = layer["digest"].as_str().unwrap();
        assert_eq!(sha256(&server.get(&format!("/v2/group/app/blobs/{layer}")).body), layer);
    }
    // And the other way: what is pushed here, the reference registry serves.
    assert_eq!(
        server.put("group/app", "v2", answer.header("content-type").unwrap(), &answer.body).status,
        201
    );
    let blob = server.blob("group/app", b"text");
    drop(server);
    let reference = wharf_tests::Registry::start(folder.path());
    assert_eq!(reference.digest(&format!("{}/group/app:v2", reference.address)), digest);
    let path = format!("/v2/group/app/blobs/{blob}");
    assert_eq!(wharf_tests::http_get(&*reference.address, &path).unwrap(), "text");
}

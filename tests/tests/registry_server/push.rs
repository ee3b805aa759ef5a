//! "Push": blobs in every way, and manifests.

use std::io::Write;

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{Answer, INDEX, MANIFEST, Server, descriptor, head, noise, with_digest};

#[track_caller]
fn has(server: &Server, name: &str, digest: &str, data: &[u8]) {
    let answer = server.get(&format!("/v2/{name}/blobs/{digest}"));
    assert_eq!((answer.status, answer.body == data), (200, true));
}

#[test]
fn a_blob_at_once_by_post_and_put() {
    let server = Server::start(&[]);
    let data = noise(300_000);
    let digest = sha256(&data);
    let upload = server.begin("a/b");
    let answer = server.send("PUT", &with_digest(&upload, &digest), &[], &data);
    assert_eq!(answer.status, 201);
    // The Location is where the blob is.
    let place = answer.header("location").unwrap();
    assert_eq!(place, format!("/v2/a/b/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    assert!(server.get(place).body == data);
    // The upload is over.
    server.get(&upload).refused(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn a_blob_at_once_by_post_alone() {
    let server = Server::start(&[]);
    let data = noise(1000);
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(&data));
    let answer = server.send("POST", &path, &[], &data);
    assert_eq!((answer.status, answer.header("location").is_some()), (201, true));
    has(&server, "a", &sha256(&data), &data);
    // A wrong digest leaves nothing behind.
    server.send("POST", &path, &[], b"other").refused(400, "DIGEST_INVALID");
    assert!(!server.files().iter().any(|file| file.contains("_uploads")));
}

#[test]
fn a_blob_in_one_stream_of_unknown_length() {
    let server = Server::start(&[]);
    let upload = server.begin("a");
    let data = noise(100_000);
    let mut stream = server.connect();
    stream.write_all(head("PATCH", &upload, &[], None).as_bytes()).unwrap();
    for part in data.chunks(7777) {
        write!(stream, "{:x}\r\n", part.len()).unwrap();
        stream.write_all(part).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let answer = Answer::read(stream, false);
    assert_eq!((answer.status, answer.header("range")), (202, Some("0-99999")));
    let digest = sha256(&data);
    let place = answer.header("location").unwrap();
    assert_eq!(server.send("PUT", &with_digest(place, &digest), &[], b"").status, 201);
    has(&server, "a", &digest, &data);
}

#[test]
fn a_blob_in_chunks() {
    let server = Server::start(&[]);
    let data = noise(30_000);
    let begun = server.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert!(begun.header("docker-upload-uuid").is_some());
    let mut place = begun.header("location").unwrap().to_owned();
    for at in [0, 10_000] {
        let range = format!("{at}-{}", at + 9_999);
        let answer = server.send("PATCH", &place, &[("Content-Range", &range)], &data[at..at + 10_000]);
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("range"), Some(format!("0-{}", at + 9_999).as_str()));
        place = answer.header("location").unwrap().to_owned();
        let status = server.get(&place);
        assert_eq!((status.status, status.header("range")), (204, answer.header("range")));
        assert!(status.header("location").is_some());
    }
    // The last chunk may come with the end.
    let digest = sha256(&data);
    let last = [("Content-Range", "20000-29999")];
    let answer = server.send("PUT", &with_digest(&place, &digest), &last, &data[20_000..]);
    assert_eq!(answer.status, 201);
    has(&server, "a", &digest, &data);
}

#[test]
fn chunks_out_of_order_are_refused_and_change_nothing() {
    let server = Server::start(&[]);
    let data = noise(20_000);
    let upload = server.begin("a");
    let patch = |range: &str, part: &[u8]| server.send("PATCH", &upload, &[("Content-Range", range)], part);
    let refused = patch("10000-19999", &data[10_000..]);
    assert_eq!(refused.status, 416);
    assert_eq!(patch("0-9999", &data[..10_000]).status, 202);
    // The same again, a hole, an overlap, nonsense.
    for range in ["0-9999", "10001-20000", "9999-19998", "x"] {
        let refused = patch(range, &data[10_000..]);
        assert_eq!((refused.status, refused.header("range")), (416, Some("0-9999")), "{range}");
        assert!(refused.header("location").is_some());
    }
    patch("10000-10001", &data[10_000..]).refused(400, "SIZE_INVALID");
    assert_eq!(patch("10000-19999", &data[10_000..]).status, 202);
    let digest = sha256(&data);
    assert_eq!(server.send("PUT", &with_digest(&upload, &digest), &[], b"").status, 201);
    has(&server, "a", &digest, &data);
}

#[test]
fn an_upload_is_abandoned() {
    let server = Server::start(&[]);
    let upload = server.begin("a");
    assert_eq!(server.send("PATCH", &upload, &[], b"some").status, 202);
    assert_eq!(server.delete(&upload).status, 204);
    assert_eq!(server.get(&upload).status, 404);
    server.send("PATCH", &upload, &[], b"more").refused(404, "BLOB_UPLOAD_UNKNOWN");
    assert!(!server.files().iter().any(|file| file.contains("_uploads")));
}

#[test]
fn uploads_that_do_not_exist_or_end_badly() {
    let server = Server::start(&[]);
    let digest = sha256(b"x");
    for id in ["00000000-0000-4000-8000-000000000000", "..%2f..%2f", "x"] {
        for method in ["GET", "PATCH", "DELETE"] {
            let answer = server.send(method, &format!("/v2/a/blobs/uploads/{id}"), &[], b"");
            assert!([404, 400].contains(&answer.status), "{answer:?}");
        }
        let path = format!("/v2/a/blobs/uploads/{id}?digest={digest}");
        assert!([404, 400].contains(&server.send("PUT", &path, &[], b"x").status));
    }
    // The upload of one repository is not one of another.
    let upload = server.begin("a").replace("/v2/a/", "/v2/b/");
    server.send("PATCH", &upload, &[], b"x").refused(404, "BLOB_UPLOAD_UNKNOWN");
    let upload = server.begin("a");
    server.send("PUT", &upload, &[], b"x").refused(400, "DIGEST_INVALID");
    server.send("PUT", &with_digest(&upload, "sha256:abc"), &[], b"x").refused(400, "DIGEST_INVALID");
    let upload = server.begin("a");
    server.send("PUT", &with_digest(&upload, &sha256(b"y")), &[], b"x").refused(400, "DIGEST_INVALID");
    server.get(&format!("/v2/a/blobs/{}", sha256(b"y"))).refused(404, "BLOB_UNKNOWN");
}

#[test]
fn a_blob_is_mounted_from_another_repository() {
    let server = Server::start(&[]);
    let digest = server.blob("from", b"blob");
    let answer = server.send("POST", &format!("/v2/to/blobs/uploads/?mount={digest}&from=from"), &[], b"");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some(format!("/v2/to/blobs/{digest}").as_str()));
    has(&server, "to", &digest, b"blob");
    // What cannot be mounted is uploaded.
    for query in [
        format!("mount={digest}&from=nowhere"),
        format!("mount={}&from=from", sha256(b"none")),
        format!("mount={digest}"),
    ] {
        let answer = server.send("POST", &format!("/v2/other/blobs/uploads/?{query}"), &[], b"");
        assert_eq!((answer.status, answer.header("location").is_some()), (202, true), "{query}");
    }
}

#[test]
fn sha512_digests() {
    let server = Server::start(&["--delete"]);
    let data = noise(5000);
    let digest = sha512(&data);
    let upload = server.begin("a");
    assert_eq!(server.send("PUT", &with_digest(&upload, &digest), &[], &data).status, 201);
    has(&server, "a", &digest, &data);
    let manifest = server.manifest("a", &json!({"layers": [descriptor(&digest, data.len())]}));
    let of_manifest = sha512(&manifest);
    let answer = server.put("a", &of_manifest, MANIFEST, &manifest);
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(of_manifest.as_str())));
    let answer = server.get(&format!("/v2/a/manifests/{of_manifest}"));
    assert_eq!(answer.body, manifest);
    let wrong = format!("sha512:{}", "0".repeat(128));
    server.put("a", &wrong, MANIFEST, &manifest).refused(400, "DIGEST_INVALID");
    assert_eq!(server.delete(&format!("/v2/a/manifests/{of_manifest}")).status, 202);
}

fn sha512(data: &[u8]) -> String {
    use sha2::Digest;
    let hash = sha2::Sha512::digest(data);
    hash.iter().fold("sha512:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn a_manifest_is_pushed_by_tag_and_by_digest() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({}));
    let digest = sha256(&manifest);
    let answer = server.put("a", "v1", MANIFEST, &manifest);
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(digest.as_str())));
    assert_eq!(server.get(answer.header("location").unwrap()).body, manifest);
    // A tag moves.
    let other = server.manifest("a", &json!({"annotations": {"a": "b"}}));
    assert_eq!(server.put("a", "v1", MANIFEST, &other).status, 201);
    assert_eq!(server.get("/v2/a/manifests/v1").body, other);
    assert_eq!(server.get(&format!("/v2/a/manifests/{digest}")).body, manifest);
    let by_digest = server.manifest("b", &json!({}));
    assert_eq!(server.put("b", &sha256(&by_digest), MANIFEST, &by_digest).status, 201);
    assert_eq!(server.get("/v2/b/tags/list").json()["tags"], json!([]));
    server
        .put("b", &digest.replace(&digest[7..9], "zz"), MANIFEST, &by_digest)
        .refused(400, "MANIFEST_INVALID");
    server.put("b", &sha256(b"x"), MANIFEST, &by_digest).refused(400, "DIGEST_INVALID");
}

#[test]
fn a_manifest_that_refers_to_nothing_is_refused() {
    let server = Server::start(&[]);
    let none = sha256(b"none");
    let manifest = server.manifest("a", &json!({"layers": [descriptor(&none, 4)]}));
    let answer = server.put("a", "v1", MANIFEST, &manifest);
    answer.refused(400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(answer.json()["errors"][0]["detail"]["digest"], none.as_str());
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(&none, 4)]});
    server.put("a", "v1", INDEX, index.to_string().as_bytes()).refused(400, "MANIFEST_BLOB_UNKNOWN");
    server.get("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
    // A layer that lies elsewhere need not be here.
    let mut foreign = descriptor(&none, 4);
    foreign["urls"] = json!(["https://example.test/layer"]);
    let manifest = server.manifest("a", &json!({"layers": [foreign]}));
    assert_eq!(server.put("a", "v1", MANIFEST, &manifest).status, 201);
}

#[test]
fn manifests_that_make_no_sense_are_refused() {
    let server = Server::start(&[]);
    let put = |kind: &str, text: &str| server.put("a", "v1", kind, text.as_bytes());
    for text in ["", "{", "[]", r#"{"schemaVersion":2}"#, r#"{"schemaVersion":1,"manifests":[]}"#] {
        put(MANIFEST, text).refused(400, "MANIFEST_INVALID");
    }
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    put(MANIFEST, &index).refused(400, "MANIFEST_INVALID");
    put(INDEX, &format!(r#"{{"schemaVersion":2,"manifests":[],"layers":[],"mediaType":"{INDEX}"}}"#))
        .refused(400, "MANIFEST_INVALID");
    put("application/vnd.docker.distribution.manifest.v1+json", r#"{"schemaVersion":1}"#)
        .refused(400, "MANIFEST_INVALID");
    assert_eq!(put(INDEX, &index).status, 201);
    server.put("a", &"x".repeat(129), INDEX, index.as_bytes()).refused(400, "MANIFEST_INVALID");
    server.put("a", "-x", INDEX, index.as_bytes()).refused(400, "MANIFEST_INVALID");
}

#[test]
fn docker_manifests_and_lists() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({"mediaType": DOCKER}));
    assert_eq!(server.put("a", "one", DOCKER, &manifest).status, 201);
    assert_eq!(server.get("/v2/a/manifests/one").header("content-type"), Some(DOCKER));
    let entry = descriptor(&sha256(&manifest), manifest.len());
    let list = json!({"schemaVersion": 2, "mediaType": LIST, "manifests": [entry]}).to_string();
    assert_eq!(server.put("a", "many", LIST, list.as_bytes()).status, 201);
    assert_eq!(server.get("/v2/a/manifests/many").header("content-type"), Some(LIST));
}

#[test]
fn large_manifests() {
    let server = Server::start(&[]);
    let limit = 4 << 20;
    let manifest = |length: usize| {
        let bare = server.manifest("a", &json!({"annotations": {"a": ""}})).len();
        server.manifest("a", &json!({"annotations": {"a": "x".repeat(length - bare)}}))
    };
    let largest = manifest(limit);
    assert_eq!(largest.len(), limit);
    assert_eq!(server.put("a", "v1", MANIFEST, &largest).status, 201);
    assert!(server.get("/v2/a/manifests/v1").body == largest);
    server.put("a", "v2", MANIFEST, &manifest(limit + 1)).refused(413, "SIZE_INVALID");
}

#[test]
fn a_manifest_with_a_subject_is_acknowledged_as_such() {
    let server = Server::start(&[]);
    let subject = sha256(b"not here yet");
    let manifest = server.manifest("a", &json!({"subject": descriptor(&subject, 12)}));
    let answer = server.put("a", &sha256(&manifest), MANIFEST, &manifest);
    assert_eq!((answer.status, answer.header("oci-subject")), (201, Some(subject.as_str())));
    let without = server.manifest("a", &json!({}));
    assert_eq!(server.put("a", "v1", MANIFEST, &without).header("oci-subject"), None);
}

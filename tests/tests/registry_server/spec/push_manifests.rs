//! "Pushing manifests", "Pushing manifests with subject".

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{DOCKER_MANIFEST, INDEX, MANIFEST, Server, descriptor, sha512};

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// "`<reference>` MUST be either a) a digest or b) a tag".
#[test]
fn a_manifest_is_pushed_by_tag_and_by_digest() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({}));
    let digest = sha256(&manifest);
    for reference in ["v1", &*digest] {
        assert_eq!(server.put("a", reference, MANIFEST, &manifest).status, 201);
        assert_eq!(server.get(&format!("/v2/a/manifests/{reference}")).body, manifest);
    }
    let neither = digest.replace(&digest[7..9], "zz");
    server.put("a", &neither, MANIFEST, &manifest).refused(400, "DIGEST_INVALID");
}

/// A manifest pushed by its digest has no tag.
#[test]
fn a_digest_makes_no_tag() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({}));
    assert_eq!(server.put("a", &sha256(&manifest), MANIFEST, &manifest).status, 201);
    assert_eq!(server.get("/v2/a/tags/list").json()["tags"], json!([]));
}

/// "Tag: a custom, human-readable pointer to a manifest": it moves, what it pointed to stays.
#[test]
fn a_tag_moves() {
    let server = Server::start(&[]);
    let before = server.image("a", "v1", b"before");
    let after = server.image("a", "v1", b"after");
    assert_eq!(server.get("/v2/a/manifests/v1").header("docker-content-digest"), Some(&*after));
    assert_eq!(server.get(&format!("/v2/a/manifests/{before}")).status, 200);
}

/// "The registry MUST store the manifest in the exact byte representation provided by the client".
#[test]
fn a_manifest_is_stored_byte_for_byte() {
    let server = Server::start(&[]);
    let text = String::from_utf8(server.manifest("a", &json!({}))).unwrap();
    for manifest in [text.clone(), text.replace(',', " ,\r\n\t"), format!("  {text}\n\n")] {
        assert_eq!(server.put("a", "v1", MANIFEST, manifest.as_bytes()).status, 201);
        assert_eq!(server.get("/v2/a/manifests/v1").body, manifest.as_bytes());
    }
}

/// "Upon a successful upload, the registry MUST return response code `201 Created`, and MUST have the following header:
/// `Location`", "a pullable manifest URL".
#[test]
fn a_push_is_201_and_says_where_the_manifest_is() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a/b", &json!({}));
    let answer = server.put("a/b", "v1", MANIFEST, &manifest);
    assert_eq!(answer.status, 201);
    assert_eq!(server.get(answer.header("location").unwrap()).body, manifest);
}

/// "The Docker-Content-Digest header … MUST be equal to the client provided digest".
#[test]
fn a_push_by_digest_is_answered_with_that_digest() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({}));
    for digest in [sha256(&manifest), sha512(&manifest)] {
        let answer = server.put("a", &digest, MANIFEST, &manifest);
        assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(&*digest)));
    }
}

/// "`DIGEST_INVALID`: provided digest did not match uploaded content".
#[test]
fn a_push_by_another_digest_is_refused() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({}));
    for digest in [sha256(b"x"), sha512(b"x")] {
        server.put("a", &digest, MANIFEST, &manifest).refused(400, "DIGEST_INVALID");
        server.get(&format!("/v2/a/manifests/{digest}")).refused(404, "MANIFEST_UNKNOWN");
    }
}

/// "The registry SHOULD ignore parameters on the `Content-Type` header".
#[test]
fn parameters_of_the_content_type_are_ignored() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({}));
    let kind = format!("{MANIFEST}; charset=utf-8");
    assert_eq!(server.put("a", "v1", &kind, &manifest).status, 201);
    assert_eq!(server.get("/v2/a/manifests/v1").header("content-type"), Some(MANIFEST));
}

/// "If a manifest includes a `mediaType` field, clients MUST set the `Content-Type` header to the value specified".
#[test]
fn a_content_type_that_contradicts_the_manifest_is_refused() {
    let server = Server::start(&[]);
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    server.put("a", "v1", MANIFEST, index.as_bytes()).refused(400, "MANIFEST_INVALID");
    assert_eq!(server.put("a", "v1", INDEX, index.as_bytes()).status, 201);
}

/// "The list of blobs MAY be empty".
#[test]
fn a_manifest_without_layers_is_accepted() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({"layers": []}));
    assert_eq!(server.put("a", "v1", MANIFEST, &manifest).status, 201);
    assert_eq!(
        server.put("a", "v2", INDEX, br#"{"schemaVersion":2,"manifests":[]}"#).status,
        201,
        "an index"
    );
}

/// "When a manifest is rejected for this reason, it MUST result in one or more `MANIFEST_BLOB_UNKNOWN` errors".
#[test]
fn a_manifest_that_refers_to_what_is_not_there_is_refused() {
    let server = Server::start(&[]);
    let none = sha256(b"none");
    let manifest = server.manifest("a", &json!({"layers": [descriptor(&none, 4)]}));
    let answer = server.put("a", "v1", MANIFEST, &manifest);
    answer.refused(400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(answer.json()["errors"][0]["detail"]["digest"], none.as_str());
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(&none, 4)]});
    server.put("a", "v1", INDEX, index.to_string().as_bytes()).refused(400, "MANIFEST_BLOB_UNKNOWN");
    server.get("/v2/a/manifests/v1").refused(404, "MANIFEST_UNKNOWN");
}

/// Image specification, "urls": a layer that is fetched from elsewhere need not be here.
#[test]
fn a_layer_that_lies_elsewhere_need_not_be_here() {
    let server = Server::start(&[]);
    let mut foreign = descriptor(&sha256(b"none"), 4);
    foreign["urls"] = json!(["https://example.test/layer"]);
    let manifest = server.manifest("a", &json!({"layers": [foreign]}));
    assert_eq!(server.put("a", "v1", MANIFEST, &manifest).status, 201);
}

/// Image specification, "Image index": "Implementations MUST support at least … image manifest", others are allowed:
/// caches of builds are indexes of layers.
#[test]
fn an_index_may_list_blobs() {
    let server = Server::start(&[]);
    let blob = server.blob("a", b"layer");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(&blob, 5)]});
    assert_eq!(server.put("a", "cache", INDEX, index.to_string().as_bytes()).status, 201);
    server.put("b", "cache", INDEX, index.to_string().as_bytes()).refused(400, "MANIFEST_BLOB_UNKNOWN");
}

/// "A registry MUST accept an otherwise valid manifest with a `subject` field that references a manifest that does not
/// exist in the repository".
#[test]
fn a_subject_need_not_be_there() {
    let server = Server::start(&[]);
    let about = descriptor(&sha256(b"not here yet"), 12);
    let manifest = server.manifest("a", &json!({"subject": about}));
    assert_eq!(server.put("a", &sha256(&manifest), MANIFEST, &manifest).status, 201);
}

/// "A registry implementation that supports the referrers API MUST respond with the response header `OCI-Subject:
/// <subject digest>`".
#[test]
fn a_subject_is_acknowledged() {
    let server = Server::start(&[]);
    for subject in [sha256(b"subject"), sha512(b"subject")] {
        let manifest = server.manifest("a", &json!({"subject": descriptor(&subject, 7)}));
        let answer = server.put("a", "v1", MANIFEST, &manifest);
        assert_eq!((answer.status, answer.header("oci-subject")), (201, Some(&*subject)));
        let index = json!({"schemaVersion": 2, "manifests": [], "subject": descriptor(&subject, 7)});
        let answer = server.put("a", "v2", INDEX, index.to_string().as_bytes());
        assert_eq!((answer.status, answer.header("oci-subject")), (201, Some(&*subject)));
    }
    let without = server.manifest("a", &json!({}));
    assert_eq!(server.put("a", "v1", MANIFEST, &without).header("oci-subject"), None);
}

/// "An attempt to pull a nonexistent repository MUST return response code `404 Not Found`".
#[test]
fn a_repository_that_is_not_there_is_404() {
    let server = Server::start(&[]);
    for path in ["manifests/v1".to_owned(), "tags/list".to_owned(), format!("blobs/{}", sha256(b"x"))] {
        assert_eq!(server.get(&format!("/v2/none/{path}")).status, 404, "{path}");
    }
}

/// "A registry that enforces this limit SHOULD respond … with a response code `413 Payload Too Large`"; "implementations
/// SHOULD expect to be able to support manifest pushes of at least 4 megabytes".
#[test]
fn manifests_of_4_megabytes_and_no_larger() {
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
    server.get("/v2/a/manifests/v2").refused(404, "MANIFEST_UNKNOWN");
}

/// Content negotiation is the client's: what it gets is what was pushed, Docker's types as well.
#[test]
fn docker_manifests_and_lists_keep_their_types() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({"mediaType": DOCKER_MANIFEST}));
    assert_eq!(server.put("a", "one", DOCKER_MANIFEST, &manifest).status, 201);
    let entry = descriptor(&sha256(&manifest), manifest.len());
    let list = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [entry]}).to_string();
    assert_eq!(server.put("a", "many", DOCKER_LIST, list.as_bytes()).status, 201);
    for (tag, kind) in [("one", DOCKER_MANIFEST), ("many", DOCKER_LIST)] {
        let accept = [("Accept", MANIFEST)];
        let answer = server.send("GET", &format!("/v2/a/manifests/{tag}"), &accept, b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)));
    }
}

/// Of the version to come: a push by digest gives the tags of its query, and `OCI-Tag` says which it gave.
#[test]
fn a_push_by_digest_may_give_tags() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a", &json!({}));
    let digest = sha512(&manifest);
    let answer = server.put("a", &format!("{digest}?tag=v1&tag=latest"), MANIFEST, &manifest);
    assert_eq!((answer.status, answer.header("oci-tag")), (201, Some("v1,latest")));
    assert_eq!(server.get("/v2/a/tags/list").json()["tags"], json!(["latest", "v1"]));
    for tag in ["v1", "latest"] {
        let answer = server.get(&format!("/v2/a/manifests/{tag}"));
        assert_eq!(
            (answer.body.as_slice(), answer.header("docker-content-digest")),
            (&*manifest, Some(&*digest))
        );
    }
    let none = server.put("a", &digest, MANIFEST, &manifest);
    assert_eq!((none.status, none.header("oci-tag")), (201, None));
    server.put("a", &format!("{digest}?tag=-x"), MANIFEST, &manifest).refused(400, "MANIFEST_INVALID");
    let many = "&tag=x".repeat(100);
    server.put("a", &format!("{digest}?{many}"), MANIFEST, &manifest).refused(414, "UNSUPPORTED");
}

/// Image specification, "Digests": SHA-512 is a registered algorithm; all that is named by one works as by SHA-256.
#[test]
fn sha512_digests_of_blobs_and_manifests() {
    let server = Server::start(&["--delete"]);
    let (data, digest) = (b"layer", sha512(b"layer"));
    let upload = server.begin("a");
    let answer = server.send("PUT", &crate::server::with_digest(&upload, &digest), &[], data);
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(&*digest)));
    let mount = format!("/v2/b/blobs/uploads/?mount={digest}&from=a");
    assert_eq!(server.send("POST", &mount, &[], b"").status, 201);
    let part = server.send("GET", &format!("/v2/b/blobs/{digest}"), &[("Range", "bytes=1-2")], b"");
    assert_eq!((part.status, part.body.as_slice()), (206, b"ay".as_slice()));
    let manifest = server.manifest("a", &json!({"layers": [descriptor(&digest, data.len())]}));
    let of_manifest = sha512(&manifest);
    assert_eq!(server.put("a", &of_manifest, MANIFEST, &manifest).status, 201);
    let path = format!("/v2/a/manifests/{of_manifest}");
    assert_eq!(server.get(&path).body, manifest);
    assert_eq!(server.delete(&path).status, 202);
    assert_eq!(server.get(&path).status, 404);
    assert_eq!(server.delete(&format!("/v2/b/blobs/{digest}")).status, 202);
}

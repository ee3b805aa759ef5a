//! "Listing referrers", "Enabling the referrers API".

use std::path::Path;

use serde_json::{Value, json};
use wharf_tests::sha256;

use crate::server::{INDEX, MANIFEST, Server, descriptor, next, sha512};

/// A server with an image, and the path of its referrers.
fn with_subject() -> (Server, String, String) {
    let server = Server::start(&["--delete"]);
    let subject = server.image("a", "v1", b"layer");
    let path = format!("/v2/a/referrers/{subject}");
    (server, subject, path)
}

fn listed(server: &Server, path: &str) -> Vec<Value> {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["manifests"].as_array().unwrap().clone()
}

/// Pushes a manifest about `subject` with more fields; it and its digest.
fn refer(server: &Server, subject: &str, fields: &Value) -> (Vec<u8>, String) {
    let mut all = json!({"subject": descriptor(subject, 1)});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let manifest = server.manifest("a", &all);
    let digest = sha256(&manifest);
    assert_eq!(server.put("a", &digest, MANIFEST, &manifest).status, 201);
    (manifest, digest)
}

/// The same of an index.
fn refer_by_index(server: &Server, subject: &str, fields: &Value) -> String {
    let mut index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": descriptor(subject, 1),
    });
    index.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let index = index.to_string();
    assert_eq!(server.put("a", &sha256(index.as_bytes()), INDEX, index.as_bytes()).status, 201);
    sha256(index.as_bytes())
}

/// "Assuming a repository is found, this request MUST return a `200 OK` response code".
#[test]
fn referrers_are_200() {
    let (server, subject, path) = with_subject();
    refer(&server, &subject, &json!({}));
    assert_eq!(server.get(&path).status, 200);
}

/// "If the registry supports the referrers API, the registry MUST NOT return a `404 Not Found` to a referrers API
/// requests".
#[test]
fn referrers_are_never_404() {
    let (server, subject, _) = with_subject();
    for path in [format!("/v2/none/referrers/{subject}"), format!("/v2/a/referrers/{}", sha256(b"none"))] {
        assert!(listed(&server, &path).is_empty());
    }
}

/// "If the request is invalid, such as a `<digest>` with an invalid syntax, a `400 Bad Request` MUST be returned".
#[test]
fn a_malformed_subject_is_400() {
    let (server, ..) = with_subject();
    for digest in ["x", "v1", "sha256:", "sha256:abc", "sha999:00"] {
        server.get(&format!("/v2/a/referrers/{digest}")).refused(400, "DIGEST_INVALID");
    }
}

/// "Upon success, the response MUST be a JSON body with an image index containing a list of descriptors".
#[test]
fn referrers_are_an_index() {
    let (server, subject, path) = with_subject();
    let (manifest, digest) = refer(&server, &subject, &json!({}));
    let document = server.get(&path).json();
    assert_eq!((&document["schemaVersion"], &document["mediaType"]), (&json!(2), &json!(INDEX)));
    let entry = &document["manifests"][0];
    assert_eq!((&entry["mediaType"], &entry["digest"]), (&json!(MANIFEST), &json!(digest)));
    assert_eq!(entry["size"], manifest.len());
}

/// "The `Content-Type` header MUST be set to `application/vnd.oci.image.index.v1+json`".
#[test]
fn referrers_have_the_type_of_an_index() {
    let (server, _, path) = with_subject();
    assert_eq!(server.get(&path).header("content-type"), Some(INDEX));
}

/// "Each descriptor is of an image manifest or index in the same `<name>` namespace with a `subject` field that specifies
/// the value of `<digest>`".
#[test]
fn referrers_are_those_of_the_repository_and_the_subject() {
    let (server, subject, path) = with_subject();
    let (manifest, digest) = refer(&server, &subject, &json!({}));
    let of_index = refer_by_index(&server, &subject, &json!({}));
    refer(&server, &sha256(b"another subject"), &json!({}));
    let mut expected = [digest, of_index];
    expected.sort();
    let found: Vec<_> = listed(&server, &path).iter().map(|entry| entry["digest"].clone()).collect();
    assert_eq!(found, expected);
    server.blob("b", b"{}");
    assert_eq!(server.put("b", "v1", MANIFEST, &manifest).status, 201);
    assert_eq!(listed(&server, &path.replace("/a/", "/b/")).len(), 1);
    assert_eq!(listed(&server, &path).len(), 2);
}

/// "The descriptors MUST include an `artifactType` field that is set to the value of the `artifactType` in the image
/// manifest or index, if present".
#[test]
fn the_type_of_an_artifact_is_its_own() {
    let (server, subject, path) = with_subject();
    refer(&server, &subject, &json!({"artifactType": "test/of-manifest"}));
    refer_by_index(&server, &subject, &json!({"artifactType": "test/of-index"}));
    let mut kinds: Vec<_> =
        listed(&server, &path).iter().map(|entry| entry["artifactType"].clone()).collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["test/of-index", "test/of-manifest"]);
}

/// "If the `artifactType` is empty or missing in the image manifest, the value of `artifactType` MUST be set to the config
/// descriptor `mediaType` value".
#[test]
fn without_a_type_that_of_the_configuration_counts() {
    let (server, subject, path) = with_subject();
    refer(&server, &subject, &json!({}));
    refer(&server, &subject, &json!({"artifactType": ""}));
    for entry in listed(&server, &path) {
        assert_eq!(entry["artifactType"], "application/vnd.test.config+json");
    }
}

/// "If the `artifactType` is empty or missing in an index, the `artifactType` MUST be omitted".
#[test]
fn an_index_without_a_type_is_listed_without_one() {
    let (server, subject, path) = with_subject();
    refer_by_index(&server, &subject, &json!({}));
    refer_by_index(&server, &subject, &json!({"artifactType": ""}));
    let found = listed(&server, &path);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|entry| entry.get("artifactType").is_none()), "{found:?}");
}

/// "The descriptors MUST include annotations from the image manifest or index".
#[test]
fn annotations_are_listed() {
    let (server, subject, path) = with_subject();
    let annotations = json!({"org.example.a": "b", "c": ""});
    refer(&server, &subject, &json!({"annotations": annotations}));
    refer_by_index(&server, &subject, &json!({"annotations": annotations}));
    let found = listed(&server, &path);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|entry| entry["annotations"] == annotations), "{found:?}");
}

/// "If a query results in no matching referrers, an empty manifest list MUST be returned".
#[test]
fn no_referrers_are_an_empty_list() {
    let (server, subject, path) = with_subject();
    assert!(listed(&server, &path).is_empty());
    refer(&server, &subject, &json!({}));
    assert!(listed(&server, &format!("{path}?artifactType=none")).is_empty());
}

/// "A `Link` header MUST be included in the response when the descriptor list cannot be returned in a single manifest",
/// "with the Relation Type `rel="next"`"; the filter goes on.
#[test]
fn referrers_come_in_pages_that_keep_the_filter() {
    let (server, subject, path) = with_subject();
    let mut left = Vec::new();
    for at in 0..5 {
        let kind = if at == 2 { "test/other" } else { "test/signature" };
        let fields = json!({"artifactType": kind, "annotations": {"at": at.to_string()}});
        let (_, digest) = refer(&server, &subject, &fields);
        if at != 2 {
            left.push(digest);
        }
    }
    let (mut page, mut lengths) = (Some(format!("{path}?artifactType=test/signature&n=3")), Vec::new());
    while let Some(at) = page {
        let answer = server.get(&at);
        assert_eq!((answer.status, answer.header("oci-filters-applied")), (200, Some("artifactType")));
        lengths.push(listed(&server, &at).len());
        left.retain(|digest| !answer.json()["manifests"].to_string().contains(digest));
        page = next(&answer);
    }
    assert_eq!((lengths, left.len()), (vec![3, 1], 0));
    server.get(&format!("{path}?n=x")).refused(400, "UNSUPPORTED");
}

/// "The registry SHOULD support filtering on `artifactType`".
#[test]
fn referrers_are_filtered() {
    let (server, subject, path) = with_subject();
    let (_, digest) = refer(&server, &subject, &json!({"artifactType": "test/signature+json"}));
    refer(&server, &subject, &json!({"artifactType": "test/other"}));
    let found = listed(&server, &format!("{path}?artifactType=test%2Fsignature%2Bjson"));
    assert_eq!((found.len(), &found[0]["digest"]), (1, &json!(digest)));
}

/// "If filtering is requested and applied, the response MUST include a header `OCI-Filters-Applied: artifactType`".
#[test]
fn a_filter_that_was_applied_is_named() {
    let (server, _, path) = with_subject();
    let filtered = server.get(&format!("{path}?artifactType=x/y"));
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(server.get(&path).header("oci-filters-applied"), None);
}

/// A subject may be named by any algorithm.
#[test]
fn a_subject_by_sha512_has_referrers() {
    let (server, ..) = with_subject();
    let subject = sha512(b"subject");
    let (_, digest) = refer(&server, &subject, &json!({}));
    assert_eq!(listed(&server, &format!("/v2/a/referrers/{subject}"))[0]["digest"], digest.as_str());
}

/// A referrer that is deleted is listed no more.
#[test]
fn a_deleted_referrer_is_not_listed() {
    let (server, subject, path) = with_subject();
    let (_, digest) = refer(&server, &subject, &json!({}));
    assert_eq!(server.delete(&format!("/v2/a/manifests/{digest}")).status, 202);
    assert!(listed(&server, &path).is_empty());
}

/// As another registry would have left the folder.
fn without_index(root: &Path) {
    std::fs::remove_dir_all(root.join("docker/registry/v2/repositories/a/_referrers")).unwrap();
}

/// "Registries MUST include preexisting image manifests that are listed in an image index tagged with the referrers tag
/// schema and have a valid `subject` field in the referrers API response".
#[test]
fn referrers_from_before_the_api_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, digest) = {
        let server = Server::at(folder.path(), &[], &[]);
        let subject = server.image("a", "v1", b"layer");
        let (manifest, digest) = refer(&server, &subject, &json!({}));
        let schema = subject.replace(':', "-");
        let entry = descriptor(&digest, manifest.len());
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        assert_eq!(server.put("a", &schema, INDEX, index.to_string().as_bytes()).status, 201);
        (format!("/v2/a/referrers/{subject}"), digest)
    };
    without_index(folder.path());
    let read_only = Server::at(folder.path(), &["--read-only"], &[]);
    assert_eq!(listed(&read_only, &path)[0]["digest"], digest.as_str());
    assert!(!folder.path().join("docker/registry/v2/repositories/a/_referrers").exists());
    let server = Server::at(folder.path(), &[], &[]);
    assert_eq!(listed(&server, &path)[0]["digest"], digest.as_str());
}

/// "After the referrers API is enabled, Registries MUST include all newly pushed image manifests with a valid `subject`
/// field in the referrers API response", whichever of the two came first.
#[test]
fn referrers_are_listed_as_soon_as_they_are_pushed() {
    let (server, ..) = with_subject();
    let subject = br#"{"schemaVersion":2,"manifests":[]}"#;
    let path = format!("/v2/a/referrers/{}", sha256(subject));
    assert!(listed(&server, &path).is_empty());
    refer(&server, &sha256(subject), &json!({"annotations": {"at": "1"}}));
    assert_eq!(listed(&server, &path).len(), 1);
    assert_eq!(server.put("a", "late", INDEX, subject).status, 201);
    refer(&server, &sha256(subject), &json!({"annotations": {"at": "2"}}));
    assert_eq!(listed(&server, &path).len(), 2);
}

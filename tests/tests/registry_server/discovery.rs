//! "Content discovery": tags, repositories, referrers.

use serde_json::{Value, json};
use wharf_tests::sha256;

use crate::server::{Answer, INDEX, MANIFEST, Server, descriptor};

/// The path and query of the next page.
fn next(answer: &Answer) -> Option<String> {
    let (target, rest) = answer.header("link")?.strip_prefix('<')?.split_once('>')?;
    assert_eq!(rest, "; rel=\"next\"");
    Some(target.to_owned())
}

fn all_pages(server: &Server, first: &str, key: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (Some(first.to_owned()), Vec::new());
    while let Some(at) = path {
        let answer = server.get(&at);
        assert_eq!(answer.status, 200, "{answer:?}");
        pages.push(serde_json::from_value(answer.json()[key].clone()).unwrap());
        path = next(&answer);
    }
    pages
}

#[test]
fn tags_are_listed_in_order_and_in_pages() {
    let server = Server::start(&[]);
    let manifest = server.manifest("a/b", &json!({}));
    for tag in ["v2", "latest", "v10", "V1", "_x"] {
        assert_eq!(server.put("a/b", tag, MANIFEST, &manifest).status, 201);
    }
    let answer = server.get("/v2/a/b/tags/list");
    let sorted = json!({"name": "a/b", "tags": ["V1", "_x", "latest", "v10", "v2"]});
    assert_eq!((answer.status, answer.json(), next(&answer)), (200, sorted, None));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let pages = all_pages(&server, "/v2/a/b/tags/list?n=2", "tags");
    assert_eq!(pages, [vec!["V1", "_x"], vec!["latest", "v10"], vec!["v2"]]);
    let none = server.get("/v2/a/b/tags/list?n=0");
    assert_eq!((none.json()["tags"].clone(), next(&none)), (json!([]), None));
    // `last` itself is not in the list, and need not be a tag.
    assert_eq!(server.get("/v2/a/b/tags/list?last=latest").json()["tags"], json!(["v10", "v2"]));
    assert_eq!(server.get("/v2/a/b/tags/list?last=m&n=1").json()["tags"], json!(["v10"]));
    assert_eq!(server.get("/v2/a/b/tags/list?last=zz").json()["tags"], json!([]));
    assert_eq!(server.get("/v2/a/b/tags/list?n=99").json()["tags"].as_array().unwrap().len(), 5);
    server.get("/v2/a/b/tags/list?n=x").refused(400, "PAGINATION_NUMBER_INVALID");
    server.get("/v2/none/tags/list").refused(404, "NAME_UNKNOWN");
}

#[test]
fn repositories_are_listed_in_pages() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/v2/_catalog").json(), json!({"repositories": []}));
    for name in ["b", "a/c", "a", "a-b"] {
        server.image(name, "v1", b"layer");
    }
    let pages = all_pages(&server, "/v2/_catalog?n=3", "repositories");
    assert_eq!(pages, [vec!["a", "a-b", "a/c"], vec!["b"]]);
    server.get("/v2/_catalog?n=-1").refused(400, "PAGINATION_NUMBER_INVALID");
}

fn referrers(server: &Server, path: &str) -> Vec<Value> {
    let answer = server.get(path);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(INDEX)), "{answer:?}");
    let document = answer.json();
    assert_eq!((&document["schemaVersion"], &document["mediaType"]), (&json!(2), &json!(INDEX)));
    document["manifests"].as_array().unwrap().clone()
}

#[test]
fn referrers_are_described() {
    let server = Server::start(&[]);
    let subject = server.image("a", "v1", b"layer");
    let path = format!("/v2/a/referrers/{subject}");
    // Without any, also of what is not there at all, the list is empty.
    assert!(referrers(&server, &path).is_empty());
    assert!(referrers(&server, &format!("/v2/none/referrers/{}", sha256(b"x"))).is_empty());
    server.get("/v2/a/referrers/x").refused(400, "DIGEST_INVALID");

    let about = descriptor(&subject, 1);
    let signature = server.manifest(
        "a",
        &json!({"subject": about, "artifactType": "test/signature", "annotations": {"by": "me"}}),
    );
    let by_config = server.manifest("a", &json!({"subject": about}));
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": about, "artifactType": "test/index"})
            .to_string();
    for (kind, manifest) in [(MANIFEST, &signature), (MANIFEST, &by_config), (INDEX, &index.into_bytes())] {
        assert_eq!(server.put("a", &sha256(manifest), kind, manifest).status, 201);
    }
    let found = referrers(&server, &path);
    assert_eq!(found.len(), 3);
    let of = |kind: &str| found.iter().find(|entry| entry["artifactType"] == kind).unwrap();
    let expected = json!({
        "mediaType": MANIFEST,
        "digest": sha256(&signature),
        "size": signature.len(),
        "annotations": {"by": "me"},
        "artifactType": "test/signature",
    });
    assert_eq!(*of("test/signature"), expected);
    // Without a type of its own, the configuration's counts.
    assert_eq!(of("application/vnd.test.config+json")["digest"], sha256(&by_config).as_str());
    assert_eq!(of("test/index")["mediaType"], INDEX);

    let filtered = server.get(&format!("{path}?artifactType=test/signature"));
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(filtered.json()["manifests"], json!([expected]));
    assert_eq!(server.get(&path).header("oci-filters-applied"), None);
    assert!(referrers(&server, &format!("{path}?artifactType=none")).is_empty());
}

#[test]
fn referrers_are_known_before_their_subject_and_without_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let subject = b"{\"schemaVersion\":2,\"manifests\":[]}";
    let path = format!("/v2/a/referrers/{}", sha256(subject));
    let referrer = {
        let server = Server::at(folder.path(), &["--delete"], &[]);
        let manifest = server.manifest("a", &json!({"subject": descriptor(&sha256(subject), 1)}));
        assert_eq!(server.put("a", "sig", MANIFEST, &manifest).status, 201);
        assert_eq!(referrers(&server, &path).len(), 1);
        assert_eq!(server.put("a", "v1", INDEX, subject).status, 201);
        assert_eq!(referrers(&server, &path).len(), 1);
        sha256(&manifest)
    };
    // As another registry would have left the folder.
    let index = folder.path().join("docker/registry/v2/repositories/a/_referrers");
    std::fs::remove_dir_all(&index).unwrap();
    let server = Server::at(folder.path(), &["--read-only"], &[]);
    assert_eq!(referrers(&server, &path)[0]["digest"], referrer.as_str());
    assert!(!index.exists());
    let server = Server::at(folder.path(), &["--delete"], &[]);
    assert_eq!(referrers(&server, &path)[0]["digest"], referrer.as_str());
    assert_eq!(server.delete(&format!("/v2/a/manifests/{referrer}")).status, 202);
    assert!(referrers(&server, &path).is_empty());
}

#[test]
fn referrers_come_in_pages_that_keep_the_filter() {
    let server = Server::start(&[]);
    let subject = server.image("a", "v1", b"layer");
    let mut digests = Vec::new();
    for at in 0..5 {
        let kind = if at == 2 { "test/other" } else { "test/signature" };
        let fields = json!({"subject": descriptor(&subject, 1), "artifactType": kind, "annotations": {"at": at.to_string()}});
        let manifest = server.manifest("a", &fields);
        assert_eq!(server.put("a", &sha256(&manifest), MANIFEST, &manifest).status, 201);
        if at != 2 {
            digests.push(sha256(&manifest));
        }
    }
    digests.sort();
    let (mut path, mut found) =
        (Some(format!("/v2/a/referrers/{subject}?artifactType=test/signature&n=3")), Vec::new());
    while let Some(at) = path {
        let answer = server.get(&at);
        assert_eq!((answer.status, answer.header("oci-filters-applied")), (200, Some("artifactType")));
        found.push(referrers(&server, &at).len());
        digests.retain(|digest| !answer.json()["manifests"].to_string().contains(digest));
        path = next(&answer);
    }
    assert_eq!((found, digests.len()), (vec![3, 1], 0));
    server.get(&format!("/v2/a/referrers/{subject}?n=x")).refused(400, "PAGINATION_NUMBER_INVALID");
}

#[test]
fn an_index_without_a_type_refers_without_one() {
    let server = Server::start(&[]);
    let subject = server.image("a", "v1", b"layer");
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": descriptor(&subject, 1),
        "annotations": {"a": "b"},
    });
    assert_eq!(server.put("a", "about", INDEX, index.to_string().as_bytes()).status, 201);
    let found = referrers(&server, &format!("/v2/a/referrers/{subject}"));
    assert_eq!((found.len(), found[0].get("artifactType")), (1, None));
    assert_eq!(found[0]["annotations"], json!({"a": "b"}));
}

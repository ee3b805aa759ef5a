//! "Determining support", "Endpoints", "Error codes", "Warnings", "Registry proxying".

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{Answer, MANIFEST, Server, with_digest};

/// "If the response is `200 OK`, then the registry implements this specification".
#[test]
fn the_base_is_200() {
    let server = Server::start(&[]);
    for path in ["/v2/", "/v2"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    }
}

/// "Legacy Docker support HTTP headers": old clients know a registry by this one.
#[test]
fn answers_name_the_version_of_the_interface() {
    let server = Server::start(&[]);
    for path in ["/v2/", "/v2/none/manifests/v1"] {
        assert_eq!(server.get(path).header("docker-distribution-api-version"), Some("registry/2.0"));
    }
}

/// Endpoint end-1: 404 where there is no such interface.
#[test]
fn what_is_no_endpoint_is_404() {
    let server = Server::start(&[]);
    for path in ["/v1/", "/v3/", "/v2/a", "/v2/a/b/c", "/x"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

/// Endpoints: a method that an endpoint does not have is 405.
#[test]
fn a_method_that_is_no_endpoint_is_405() {
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
        let answer = server.send(method, &path, &[], b"");
        answer.refused(405, "UNSUPPORTED");
        // RFC 9110, section 15.5.6.
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
}

/// Requests that are refused in every way there is.
fn refusals(server: &Server) -> Vec<Answer> {
    let none = sha256(b"none");
    let upload = server.begin("a");
    vec![
        server.get("/v2/NAME/tags/list"),
        server.get("/v2/none/tags/list"),
        server.get("/v2/a/tags/list?n=x"),
        server.get("/v2/_catalog?n=-1"),
        server.get("/v2/a/manifests/none"),
        server.get("/v2/a/blobs/sha256:x"),
        server.get(&format!("/v2/a/blobs/{none}")),
        server.get("/v2/a/referrers/x"),
        server.get("/v2/a/blobs/uploads/x"),
        server.get("/v2/a/nothing/here"),
        server.get("/nothing"),
        server.send("PATCH", &upload, &[("Content-Range", "5-5")], b"x"),
        server.send("PATCH", &upload, &[("Content-Range", "0-5")], b"x"),
        server.send("PUT", &upload, &[], b"x"),
        server.send("PUT", &with_digest(&upload, &none), &[], b"x"),
        server.put("a", "v1", MANIFEST, b"{"),
        server.put("a", "-", MANIFEST, b"{"),
        server.put("a", "v1", MANIFEST, &vec![b' '; (4 << 20) + 1]),
        server.delete("/v2/a/manifests/v1"),
        server.send("BREW", "/v2/", &[], b""),
    ]
}

/// "If the response body is in JSON format, it MUST have the following format".
#[test]
fn errors_have_the_form_that_is_specified() {
    for answer in refusals(&Server::start(&[])) {
        assert!((400..500).contains(&answer.status), "{answer:?}");
        if answer.header("content-type") != Some("application/json") {
            continue;
        }
        for error in answer.json()["errors"].as_array().unwrap() {
            assert!(error["code"].is_string(), "{error}");
        }
    }
}

/// "The `code` field MUST be a unique identifier, containing only uppercase alphabetic characters and underscores", and
/// "MUST be one of the following".
#[test]
fn errors_have_codes_that_are_specified() {
    const CODES: [&str; 14] = [
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    ];
    for answer in refusals(&Server::start(&[])) {
        if answer.header("content-type") == Some("application/json") {
            assert!(CODES.contains(&&*answer.code()), "{answer:?}");
        }
    }
}

/// "The `message` field is OPTIONAL, and if present, it SHOULD be a human readable string".
#[test]
fn errors_have_messages_for_people() {
    let answer = Server::start(&[]).get("/v2/a/manifests/none");
    let errors = json!([{
        "code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": {"reference": "none"},
    }]);
    assert_eq!(answer.json()["errors"], errors);
}

/// "`Warning` headers MUST specify a `warn-code` of `299` and a `warn-agent` of `-`, and MUST NOT specify a `warn-date`
/// value".
#[test]
fn warnings_have_the_form_that_is_specified() {
    let upstream = Server::start(&[]);
    upstream.image("app", "v1", b"layer");
    let cache = Server::start(&["--proxy", &format!("http://{}", upstream.address)]);
    assert_eq!(cache.get("/v2/app/manifests/v1").header("warning"), None);
    drop(upstream);
    let answer = cache.get("/v2/app/manifests/v1");
    assert_eq!(answer.header("warning"), Some("299 - \"the upstream does not answer: this may be old\""));
}

/// "A registry that uses the `ns` query parameter to scope the request SHOULD return the `ns` query parameter value in the
/// `OCI-Namespace` header"; "A registry MAY choose to ignore the `ns` query parameter", and says so by its absence.
#[test]
fn a_namespace_that_was_used_is_named() {
    let upstream = Server::start(&[]);
    upstream.image("app", "v1", b"layer");
    let cache = Server::start(&["--proxy", &format!("one=http://{}", upstream.address)]);
    let ns = &upstream.address;
    let answer = cache.get(&format!("/v2/app/manifests/v1?ns={ns}"));
    assert_eq!((answer.status, answer.header("oci-namespace")), (200, Some(&**ns)));
    let answer = upstream.get("/v2/app/manifests/v1?ns=elsewhere.test");
    assert_eq!((answer.status, answer.header("oci-namespace")), (200, None));
}

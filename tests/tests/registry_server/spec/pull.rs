//! "Pulling manifests", "Pulling blobs", "Range request support", "Checking if content exists".

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{MANIFEST, Server, noise};

/// A server with the repository `a/b`, the path of a manifest in it, and the manifest.
fn with_manifest() -> (Server, String, Vec<u8>) {
    let server = Server::start(&[]);
    // White space, order and unknown fields count: the digest is of the bytes.
    let mut manifest = b"\n  ".to_vec();
    manifest.extend(server.manifest("a/b", &json!({"unknown": {"z": 1, "a": [2]}})));
    let path = format!("/v2/a/b/manifests/{}", sha256(&manifest));
    assert_eq!(server.put("a/b", "v1", MANIFEST, &manifest).status, 201);
    (server, path, manifest)
}

/// A server with a blob, its path, and its bytes.
fn with_blob() -> (Server, String, Vec<u8>) {
    let (server, data) = (Server::start(&[]), noise(700_000));
    let digest = server.blob("a", &data);
    (server, format!("/v2/a/blobs/{digest}"), data)
}

/// "`<name>` MUST match the following regular expression".
#[test]
fn names_outside_of_the_pattern_are_refused() {
    let server = Server::start(&[]);
    for name in ["UPPER", "a//b", "a..b", "a___b", "-a", "a-", "a/../b", "a%2F..%2Fb", "%C3%A9", "a%00b"] {
        for path in [format!("/v2/{name}/tags/list"), format!("/v2/{name}/manifests/v1")] {
            server.get(&path).refused(400, "NAME_INVALID");
        }
        server.send("POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"").refused(400, "NAME_INVALID");
    }
}

/// The same, from its other side.
#[test]
fn names_inside_of_the_pattern_are_accepted() {
    let server = Server::start(&[]);
    for name in ["0", "a.b/c_d/e__f/g---h", "manifests/blobs/uploads", "tags/list", &"a".repeat(229)] {
        server.image(name, "v1", b"layer");
        assert_eq!(server.get(&format!("/v2/{name}/manifests/v1")).status, 200, "{name}");
    }
}

/// "`<reference>` as a tag MUST be at most 128 characters in length and MUST match the following regular expression".
#[test]
fn tags_outside_of_the_pattern_are_refused() {
    let (server, _, manifest) = with_manifest();
    for tag in ["-x", ".x", "a+b", "%C3%A9", "..", &"x".repeat(129), "sha256:abc", "a:b"] {
        let code = if tag.contains(':') { "DIGEST_INVALID" } else { "MANIFEST_INVALID" };
        server.put("a/b", tag, MANIFEST, &manifest).refused(400, code);
        server.get(&format!("/v2/a/b/manifests/{tag}")).refused(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(server.put("a/b", &"x".repeat(128), MANIFEST, &manifest).status, 201);
    assert_eq!(server.put("a/b", "_A.b-9", MANIFEST, &manifest).status, 201);
}

/// "A GET request to an existing manifest URL MUST provide the expected manifest, with a response code that MUST be
/// `200 OK`".
#[test]
fn a_manifest_is_the_bytes_that_were_pushed() {
    let (server, by_digest, manifest) = with_manifest();
    for path in [&*by_digest, "/v2/a/b/manifests/v1"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.body.as_slice()), (200, manifest.as_slice()));
    }
}

/// "A successful response must include `Content-Type: <manifest media type>`", that of the push.
#[test]
fn a_manifest_has_its_media_type() {
    let (server, path, _) = with_manifest();
    assert_eq!(server.get(&path).header("content-type"), Some(MANIFEST));
}

/// "`Docker-Content-Digest` … MUST be a digest matching that of the response body".
#[test]
fn a_manifest_has_its_digest() {
    let (server, by_digest, manifest) = with_manifest();
    for path in [&*by_digest, "/v2/a/b/manifests/v1"] {
        assert_eq!(server.get(path).header("docker-content-digest"), Some(&*sha256(&manifest)));
    }
}

/// "If the manifest is not found in the repository, the response code MUST be `404 Not Found`".
#[test]
fn a_manifest_that_is_not_there_is_404() {
    let (server, path, _) = with_manifest();
    for missing in ["/v2/a/b/manifests/v2", &path.replace("a/b", "other"), "/v2/none/manifests/v1"] {
        server.get(missing).refused(404, "MANIFEST_UNKNOWN");
    }
}

/// "A GET request to an existing blob URL MUST provide the expected blob, with a response code that MUST be `200 OK`".
#[test]
fn a_blob_is_the_bytes_that_were_pushed() {
    let (server, path, data) = with_blob();
    let answer = server.get(&path);
    assert_eq!((answer.status, answer.body == data), (200, true));
}

/// The same, of a blob without bytes.
#[test]
fn an_empty_blob_is_a_blob() {
    let server = Server::start(&[]);
    let digest = server.blob("a", b"");
    let answer = server.get(&format!("/v2/a/blobs/{digest}"));
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, Some("0"), 0));
}

/// "The value of `Docker-Content-Digest` must match the digest of the returned blob".
#[test]
fn a_blob_has_its_digest() {
    let (server, path, data) = with_blob();
    assert_eq!(server.get(&path).header("docker-content-digest"), Some(&*sha256(&data)));
}

/// "If the blob is not found in the repository, the response code MUST be `404 Not Found`", also if another has it.
#[test]
fn a_blob_that_is_not_there_is_404() {
    let (server, path, _) = with_blob();
    for missing in [format!("/v2/a/blobs/{}", sha256(b"none")), path.replace("/a/", "/b/")] {
        server.get(&missing).refused(404, "BLOB_UNKNOWN");
    }
}

/// "`<digest>` … must follow the same rules": another form is the client's mistake.
#[test]
fn malformed_digests_are_refused() {
    let server = Server::start(&[]);
    let upper = sha256(b"x").to_uppercase().replace("SHA256", "sha256");
    for digest in ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:..%2f..%2fetc", &upper] {
        for kind in ["blobs", "referrers"] {
            let answer = server.get(&format!("/v2/a/{kind}/{digest}"));
            assert!([400, 404].contains(&answer.status), "{answer:?}");
        }
    }
    server.get("/v2/a/blobs/sha256:abc").refused(400, "DIGEST_INVALID");
}

/// "A registry SHOULD support the `Range` request header in accordance with RFC 9110".
#[test]
fn a_blob_is_read_in_parts() {
    let (server, path, data) = with_blob();
    assert_eq!(server.get(&path).header("accept-ranges"), Some("bytes"));
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
}

/// RFC 9110, section 15.5.17: 416 says how long the blob is.
#[test]
fn a_range_beyond_the_end_is_416() {
    let (server, path, _) = with_blob();
    for range in ["bytes=700000-", "bytes=500-0"] {
        let beyond = server.send("GET", &path, &[("Range", range)], b"");
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */700000")));
    }
}

/// RFC 9110, section 14.2: "A server MUST ignore a Range header field" that it does not understand, or of another method
/// than GET.
#[test]
fn a_range_that_makes_no_sense_is_ignored() {
    let (server, path, data) = with_blob();
    for range in ["bytes=x-4", "lines=1-2", "bytes=0-1,4-5"] {
        let answer = server.send("GET", &path, &[("Range", range)], b"");
        assert_eq!((answer.status, answer.body == data), (200, true), "{range}");
    }
    let head = server.send("HEAD", &path, &[("Range", "bytes=0-4")], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("700000")));
}

/// RFC 9110, section 13.1: conditions are answered by what the client has.
#[test]
fn what_the_client_has_is_not_sent_again() {
    let (server, path, data) = with_blob();
    let etag = server.get(&path).header("etag").unwrap().to_owned();
    assert_eq!(server.send("GET", &path, &[("If-None-Match", &etag)], b"").status, 304);
    let stale = [("Range", "bytes=0-1"), ("If-Range", "\"other\"")];
    assert!(server.send("GET", &path, &stale, b"").body == data);
    let digest = server.image("a", "v1", b"layer");
    let etag = format!("W/\"x\", \"{digest}\"");
    let unchanged = server.send("GET", "/v2/a/manifests/v1", &[("If-None-Match", &etag)], b"");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
}

/// "A HEAD request to an existing blob or manifest URL MUST return `200 OK`", with digest and size.
#[test]
fn head_says_digest_and_size() {
    let (server, path, data) = with_blob();
    let head = server.head(&path);
    assert_eq!((head.status, head.header("content-length")), (200, Some("700000")));
    assert_eq!(head.header("docker-content-digest"), Some(&*sha256(&data)));
    let (server, path, manifest) = with_manifest();
    let head = server.head(&path);
    assert_eq!((head.status, head.header("content-type")), (200, Some(MANIFEST)));
    assert_eq!(head.header("content-length"), Some(&*manifest.len().to_string()));
    assert_eq!(head.header("docker-content-digest"), Some(&*sha256(&manifest)));
}

/// "A `HEAD` response must not include a response body".
#[test]
fn head_has_no_body() {
    let (server, path, _) = with_manifest();
    for path in [&*path, "/v2/a/b/manifests/none", "/v2/a/b/tags/list", "/v2/"] {
        let mut stream = server.connect();
        let request = crate::server::head("HEAD", path, &[], Some(0));
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut all).unwrap();
        assert!(all.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&all));
    }
}

/// "If the blob or manifest is not found in the registry, the response code MUST be `404 Not Found`".
#[test]
fn head_of_what_is_not_there_is_404() {
    let (server, path, _) = with_manifest();
    let none = sha256(b"none");
    for path in [
        path.replace("a/b", "other"),
        "/v2/a/b/manifests/none".to_owned(),
        format!("/v2/a/b/manifests/{none}"),
        format!("/v2/a/b/blobs/{none}"),
    ] {
        assert_eq!(server.head(&path).status, 404, "{path}");
    }
}

//! Pushes that the specification says little of: streams, ids that are none, manifests that make no sense.

use std::io::Write;

use wharf_tests::sha256;

use crate::server::{Answer, INDEX, MANIFEST, Server, head, noise, with_digest};

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
    assert!(server.get(&format!("/v2/a/blobs/{digest}")).body == data);
}

#[test]
fn ids_of_uploads_lead_nowhere_else() {
    let server = Server::start(&[]);
    let digest = server.blob("a", b"blob");
    for id in ["..%2f..%2f", "x", "%2e%2e", "..", &"a".repeat(36), &format!("..%2f..%2f_layers%2f{digest}")] {
        for method in ["GET", "PATCH", "DELETE"] {
            let answer = server.send(method, &format!("/v2/a/blobs/uploads/{id}"), &[], b"");
            assert!([404, 400].contains(&answer.status), "{answer:?}");
        }
        let path = format!("/v2/a/blobs/uploads/{id}?digest={}", sha256(b"x"));
        assert!([404, 400].contains(&server.send("PUT", &path, &[], b"x").status));
    }
    assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).body, b"blob");
}

#[test]
fn manifests_that_make_no_sense_are_refused() {
    let server = Server::start(&[]);
    let put = |kind: &str, text: &str| server.put("a", "v1", kind, text.as_bytes());
    for text in ["", "{", "[]", r#"{"schemaVersion":2}"#, r#"{"schemaVersion":1,"manifests":[]}"#] {
        put(MANIFEST, text).refused(400, "MANIFEST_INVALID");
    }
    put(INDEX, &format!(r#"{{"schemaVersion":2,"manifests":[],"layers":[],"mediaType":"{INDEX}"}}"#))
        .refused(400, "MANIFEST_INVALID");
    put("application/vnd.docker.distribution.manifest.v1+json", r#"{"schemaVersion":1}"#)
        .refused(400, "MANIFEST_INVALID");
}

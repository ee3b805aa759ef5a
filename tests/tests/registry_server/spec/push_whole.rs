//! "Pushing a blob monolithically", "Mounting a blob from another repository".

use wharf_tests::sha256;

use crate::server::{Answer, Server, noise, with_digest};

fn post(server: &Server, path: &str, body: &[u8]) -> Answer {
    server.send("POST", path, &[("Content-Type", "application/octet-stream")], body)
}

#[track_caller]
fn has(server: &Server, path: &str, data: &[u8]) {
    let answer = server.get(path);
    assert_eq!((answer.status, answer.body == data), (200, true), "{path}");
}

/// "Upon success, the response MUST have a code of `202 Accepted`, and MUST include the following header: `Location`".
#[test]
fn an_upload_begins_with_202_and_a_location() {
    let server = Server::start(&[]);
    for path in ["/v2/a/b/blobs/uploads/", "/v2/a/b/blobs/uploads"] {
        let answer = post(&server, path, b"");
        assert_eq!((answer.status, answer.header("location").is_some()), (202, true));
    }
}

/// "The `<location>` MUST contain a UUID representing a unique session ID for the upload to follow".
#[test]
fn the_location_of_an_upload_contains_a_uuid_of_its_own() {
    let server = Server::start(&[]);
    let ids = [(); 2].map(|()| server.begin("a").rsplit('/').next().unwrap().to_owned());
    for id in &ids {
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()), "{id}");
    }
    assert_ne!(ids[0], ids[1]);
}

/// "Upon successful completion of the request, the response MUST have code `201 Created` and MUST have the following
/// header: `Location: <blob-location>`".
#[test]
fn a_put_ends_with_201_and_where_the_blob_is() {
    let (server, data) = (Server::start(&[]), noise(300_000));
    let digest = sha256(&data);
    let answer = server.send("PUT", &with_digest(&server.begin("a/b"), &digest), &[], &data);
    assert_eq!(answer.status, 201);
    let place = answer.header("location").unwrap();
    assert_eq!(place, format!("/v2/a/b/blobs/{digest}"));
    has(&server, place, &data);
}

/// "`<digest>` is the digest of the entire blob": another is refused, and nothing stays.
#[test]
fn a_put_with_another_digest_is_refused() {
    let server = Server::start(&[]);
    let digest = sha256(b"y");
    let answer = server.send("PUT", &with_digest(&server.begin("a"), &digest), &[], b"x");
    answer.refused(400, "DIGEST_INVALID");
    server.get(&format!("/v2/a/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
    server.get(&format!("/v2/a/blobs/{}", sha256(b"x"))).refused(404, "BLOB_UNKNOWN");
    assert!(!server.files().iter().any(|file| file.contains("_uploads")));
}

/// "Successful completion of the request MUST return a `201 Created` and MUST include the following header:
/// `Location: <blob-location>`", of a single POST.
#[test]
fn a_single_post_ends_with_201_and_where_the_blob_is() {
    let (server, data) = (Server::start(&[]), noise(1000));
    let answer = post(&server, &format!("/v2/a/blobs/uploads/?digest={}", sha256(&data)), &data);
    assert_eq!(answer.status, 201);
    has(&server, answer.header("location").unwrap(), &data);
}

/// "Likewise, the `<digest>` MUST match the blob's digest".
#[test]
fn a_single_post_with_another_digest_is_refused() {
    let server = Server::start(&[]);
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"other"));
    post(&server, &path, b"data").refused(400, "DIGEST_INVALID");
    post(&server, "/v2/a/blobs/uploads/?digest=sha256:abc", b"data").refused(400, "DIGEST_INVALID");
    assert!(!server.files().iter().any(|file| file.contains("_uploads")));
}

/// "The `Content-Length` header MUST match the blob's actual content length".
#[test]
fn a_single_post_that_is_shorter_than_it_says_makes_no_blob() {
    use std::io::Write;
    let (server, data) = (Server::start(&[]), noise(1000));
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(&data));
    let mut stream = server.connect();
    stream.write_all(crate::server::head("POST", &path, &[], Some(1001)).as_bytes()).unwrap();
    stream.write_all(&data).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    drop(stream);
    let blob = format!("/v2/a/blobs/{}", sha256(&data));
    let gone = || !server.files().iter().any(|file| file.contains("_uploads"));
    assert!(wharf_tests::until(std::time::Duration::from_secs(20), gone));
    server.get(&blob).refused(404, "BLOB_UNKNOWN");
}

/// "The response to a successful mount MUST be `201 Created`, and MUST contain the following header:
/// `Location: <blob-location>`".
#[test]
fn a_mount_is_201_and_says_where_the_blob_is() {
    let server = Server::start(&[]);
    let digest = server.blob("from", b"blob");
    let answer = post(&server, &format!("/v2/to/blobs/uploads/?mount={digest}&from=from"), b"");
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(&*digest)));
    has(&server, answer.header("location").unwrap(), b"blob");
}

/// "If a registry … is unable to mount the requested blob, it SHOULD return a `202`": the upload has begun.
#[test]
fn what_cannot_be_mounted_is_uploaded() {
    let server = Server::start(&[]);
    let digest = server.blob("from", b"blob");
    for query in [
        format!("mount={digest}&from=nowhere"),
        format!("mount={}&from=from", sha256(b"none")),
        format!("mount={digest}&from=NO/../NAME"),
        format!("mount={digest}"),
        "mount=x&from=from".to_owned(),
    ] {
        let answer = post(&server, &format!("/v2/other/blobs/uploads/?{query}"), b"");
        assert_eq!(answer.status, 202, "{query}");
        let upload = answer.header("location").unwrap();
        assert_eq!(server.send("PUT", &with_digest(upload, &digest), &[], b"blob").status, 201);
    }
}

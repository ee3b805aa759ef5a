//! "Pushing a blob in chunks", "Cancel a blob upload".

use wharf_tests::sha256;

use crate::server::{Answer, Server, noise, with_digest};

/// An upload, and what it is to become.
struct Upload {
    server: Server,
    place: String,
    data: Vec<u8>,
}

impl Upload {
    fn begin(length: usize) -> Upload {
        let server = Server::start(&[]);
        Upload { place: server.begin("a"), data: noise(length), server }
    }

    /// Sends the bytes of `range` (both ends included) with `Content-Range`.
    fn patch(&self, range: std::ops::RangeInclusive<usize>) -> Answer {
        let text = format!("{}-{}", range.start(), range.end());
        self.server.send("PATCH", &self.place, &[("Content-Range", &text)], &self.data[range])
    }

    fn put(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.server.send("PUT", &with_digest(&self.place, &sha256(&self.data)), headers, body)
    }

    #[track_caller]
    fn is_stored(&self) {
        let answer = self.server.get(&format!("/v2/a/blobs/{}", sha256(&self.data)));
        assert_eq!((answer.status, answer.body == self.data), (200, true));
    }
}

/// "If the registry has a minimum chunk size, the `POST` response SHOULD include … `OCI-Chunk-Min-Length: <size>`".
#[test]
fn chunks_may_be_as_short_as_the_registry_says() {
    let upload = Upload::begin(3);
    let begun = upload.server.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!(begun.header("oci-chunk-min-length"), Some("1"));
    for at in 0..3 {
        assert_eq!(upload.patch(at..=at).status, 202);
    }
    assert_eq!(upload.put(&[], b"").status, 201);
    upload.is_stored();
}

/// "The `<range>` … MUST be inclusive on both ends": it says as many bytes as the chunk has.
#[test]
fn a_range_that_is_not_as_long_as_its_chunk_is_refused() {
    let upload = Upload::begin(20);
    for range in ["0-20", "0-18"] {
        let answer =
            upload.server.send("PATCH", &upload.place, &[("Content-Range", range)], &upload.data[..20]);
        answer.refused(400, "SIZE_INVALID");
    }
    assert_eq!(upload.patch(0..=19).status, 202);
}

/// "The first chunk's range MUST begin with `0`".
#[test]
fn a_first_chunk_that_does_not_begin_with_0_is_refused() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(1..=9).status, 416);
    assert_eq!(upload.patch(0..=19).status, 202);
}

/// "It MUST match the following regular expression: `^[0-9]+-[0-9]+$`".
#[test]
fn a_range_outside_of_the_pattern_is_refused() {
    let upload = Upload::begin(10);
    for range in ["x", "0", "-", "0-", "-9", "+0-9", "0-9-", "a-b"] {
        let headers = [("Content-Range", range)];
        assert_eq!(upload.server.send("PATCH", &upload.place, &headers, &upload.data).status, 416, "{range}");
    }
    assert_eq!(upload.patch(0..=9).status, 202);
}

/// "The response for each successful chunk upload MUST be `202 Accepted`, and MUST have the following headers: `Location`,
/// `Range: 0-<end-of-range>`".
#[test]
fn a_chunk_is_202_and_says_where_to_go_on() {
    let mut upload = Upload::begin(30_000);
    for at in [0, 10_000, 20_000] {
        let answer = upload.patch(at..=at + 9_999);
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("range"), Some(&*format!("0-{}", at + 9_999)));
        upload.place = answer.header("location").unwrap().to_owned();
    }
    assert_eq!(upload.put(&[], b"").status, 201);
    upload.is_stored();
}

/// "If a chunk is uploaded out of order, the registry MUST respond with a `416 Requested Range Not Satisfiable` code".
#[test]
fn a_chunk_out_of_order_is_416_and_changes_nothing() {
    let upload = Upload::begin(20_000);
    assert_eq!(upload.patch(0..=9_999).status, 202);
    // The same again, a hole, an overlap.
    for range in [0..=9_999, 10_001..=19_999, 9_999..=19_998] {
        let refused = upload.patch(range);
        assert_eq!((refused.status, refused.header("range")), (416, Some("0-9999")));
        assert!(refused.header("location").is_some());
    }
    assert_eq!(upload.patch(10_000..=19_999).status, 202);
    assert_eq!(upload.put(&[], b"").status, 201);
    upload.is_stored();
}

/// The same, of the last chunk in the closing request.
#[test]
fn a_last_chunk_out_of_order_is_416() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(0..=9).status, 202);
    assert_eq!(upload.put(&[("Content-Range", "11-20")], &upload.data[10..]).status, 416);
    assert_eq!(upload.put(&[("Content-Range", "10-19")], &upload.data[10..]).status, 201);
    upload.is_stored();
}

/// "The final chunk … MAY be uploaded in the closing `PUT` request".
#[test]
fn the_last_chunk_may_come_with_the_end() {
    for headers in [&[("Content-Range", "10-19")][..], &[]] {
        let upload = Upload::begin(20);
        assert_eq!(upload.patch(0..=9).status, 202);
        assert_eq!(upload.put(headers, &upload.data[10..]).status, 201);
        upload.is_stored();
    }
}

/// "Regardless of how the final chunk is uploaded, the session MUST be closed with a `PUT` request".
#[test]
fn there_is_no_blob_before_the_session_is_closed() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(0..=19).status, 202);
    upload.server.get(&format!("/v2/a/blobs/{}", sha256(&upload.data))).refused(404, "BLOB_UNKNOWN");
}

/// "The closing `PUT` request MUST include the `<digest>` of the whole blob (not the final chunk)".
#[test]
fn the_end_needs_the_digest_of_the_whole() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(0..=9).status, 202);
    upload.server.send("PUT", &upload.place, &[], b"").refused(400, "DIGEST_INVALID");
    let malformed = with_digest(&upload.place, "sha256:abc");
    upload.server.send("PUT", &malformed, &[], b"").refused(400, "DIGEST_INVALID");
    let of_last = with_digest(&upload.place, &sha256(&upload.data[10..]));
    upload.server.send("PUT", &of_last, &[], &upload.data[10..]).refused(400, "DIGEST_INVALID");
}

/// "The response to a successful closing of the session MUST be `201 Created`, and MUST contain the following header:
/// `Location: <blob-location>`".
#[test]
fn the_end_is_201_and_says_where_the_blob_is() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(0..=19).status, 202);
    let answer = upload.put(&[], b"");
    assert_eq!((answer.status, answer.header("docker-content-digest")), (201, Some(&*sha256(&upload.data))));
    assert!(upload.server.get(answer.header("location").unwrap()).body == upload.data);
}

/// "The response to an active upload `<location>` MUST be a `204 No Content` response code, and MUST have the following
/// headers: `Location`, `Range: 0-<end-of-range>`".
#[test]
fn the_status_of_an_upload_is_204_and_says_where_to_go_on() {
    let upload = Upload::begin(20);
    assert_eq!(upload.server.get(&upload.place).status, 204);
    assert_eq!(upload.patch(0..=9).status, 202);
    let status = upload.server.get(&upload.place);
    assert_eq!((status.status, status.header("range")), (204, Some("0-9")));
    assert_eq!(status.header("location"), Some(&*upload.place));
}

/// "To get the current status after a 416 error": from there the client can go on.
#[test]
fn a_client_goes_on_after_416() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(0..=9).status, 202);
    assert_eq!(upload.patch(5..=19).status, 416);
    let (_, end) =
        upload.server.get(&upload.place).header("range").unwrap().split_once('-').map_or_else(
            || panic!("no range"),
            |(start, end)| (start.to_owned(), end.parse::<usize>().unwrap()),
        );
    assert_eq!(upload.patch(end + 1..=19).status, 202);
    assert_eq!(upload.put(&[], b"").status, 201);
    upload.is_stored();
}

/// "If successful, the response SHOULD be a `204 No Content` response code", and its space is given back.
#[test]
fn a_cancelled_upload_is_204_and_gone() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(0..=9).status, 202);
    assert_eq!(upload.server.delete(&upload.place).status, 204);
    assert!(!upload.server.files().iter().any(|file| file.contains("_uploads")));
    upload.server.delete(&upload.place).refused(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Endpoints end-5, end-6, end-13, end-14: 404 for an upload that there is not, that is over, or of another repository.
#[test]
fn an_upload_that_is_not_there_is_404() {
    let upload = Upload::begin(20);
    let elsewhere = upload.place.replace("/v2/a/", "/v2/b/");
    assert_eq!(upload.put(&[], &upload.data).status, 201);
    let never = "/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000".to_owned();
    for path in [upload.place.clone(), elsewhere, never] {
        for method in ["GET", "PATCH", "DELETE"] {
            upload.server.send(method, &path, &[], b"x").refused(404, "BLOB_UPLOAD_UNKNOWN");
        }
        let closing = with_digest(&path, &sha256(b"x"));
        upload.server.send("PUT", &closing, &[], b"x").refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

/// "If this request fails or is not called, the server SHOULD eventually timeout unfinished uploads".
#[test]
fn an_upload_that_nobody_goes_on_with_is_removed() {
    let upload = Upload::begin(20);
    assert_eq!(upload.patch(0..=9).status, 202);
    let week = std::time::Duration::from_secs(8 * 24 * 3600);
    for file in upload.server.files().iter().filter(|file| file.contains("_uploads")) {
        std::fs::File::open(file).unwrap().set_modified(std::time::SystemTime::now() - week).unwrap();
    }
    let said = upload.server.collect(&[]);
    assert!(said.contains(", 1 uploads"), "{said}");
    upload.server.get(&upload.place).refused(404, "BLOB_UPLOAD_UNKNOWN");
}

//! "Listing tags".

use serde_json::json;

use crate::server::{MANIFEST, Server, next, pages};

/// A server with the repository `a/b` and tags that the orders of letters and of bytes tell apart.
fn with_tags() -> Server {
    let server = Server::start(&["--delete"]);
    let manifest = server.manifest("a/b", &json!({}));
    for tag in ["v2", "latest", "v10", "V1", "_x"] {
        assert_eq!(server.put("a/b", tag, MANIFEST, &manifest).status, 201);
    }
    server
}

const SORTED: [&str; 5] = ["V1", "_x", "latest", "v10", "v2"];

#[track_caller]
fn lists(server: &Server, query: &str, tags: &[&str]) {
    let answer = server.get(&format!("/v2/a/b/tags/list{query}"));
    assert_eq!((answer.status, &answer.json()["tags"]), (200, &json!(tags)), "{query}");
}

/// "Assuming a repository is found, this request MUST return a `200 OK` response code".
#[test]
fn tags_are_200() {
    assert_eq!(with_tags().get("/v2/a/b/tags/list").status, 200);
}

/// "The list of tags MAY be empty if there are no tags on the repository".
#[test]
fn a_repository_without_tags_has_an_empty_list() {
    let server = with_tags();
    for tag in SORTED {
        assert_eq!(server.delete(&format!("/v2/a/b/manifests/{tag}")).status, 202);
    }
    lists(&server, "", &[]);
}

/// Endpoint end-8a: 404 if there is no such repository.
#[test]
fn tags_of_no_repository_are_404() {
    with_tags().get("/v2/none/tags/list").refused(404, "NAME_UNKNOWN");
}

/// "The tags MUST be in lexical … or ASCIIbetical … order".
#[test]
fn tags_are_in_order() {
    lists(&with_tags(), "", &SORTED);
}

/// "Upon success, the response MUST be a json body in the following format".
#[test]
fn tags_are_json_with_the_name() {
    let answer = with_tags().get("/v2/a/b/tags/list");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"name": "a/b", "tags": SORTED}));
}

/// "Otherwise, the response MUST include `<int>` results": no fewer than asked for, unless there are no more.
#[test]
fn as_many_tags_as_asked_for() {
    let server = with_tags();
    for n in 1..=5 {
        lists(&server, &format!("?n={n}"), &SORTED[..n]);
    }
    for n in ["6", "1000000000", "18446744073709551615"] {
        lists(&server, &format!("?n={n}"), &SORTED);
    }
}

/// "If included, the `Link` header MUST be set according to RFC5988 with the Relation Type `rel="next"`".
#[test]
fn the_next_tags_are_linked() {
    let server = with_tags();
    let answer = server.get("/v2/a/b/tags/list?n=2");
    assert_eq!(answer.header("link"), Some("</v2/a/b/tags/list?last=_x&n=2>; rel=\"next\""));
    let all = pages(&server, "/v2/a/b/tags/list?n=2", "tags");
    assert_eq!(all, [&SORTED[..2], &SORTED[2..4], &SORTED[4..]]);
}

/// A list that is whole has no `Link`, also if it is exactly as long as asked for.
#[test]
fn the_last_tags_have_no_link() {
    let server = with_tags();
    for query in ["", "?n=5", "?n=99", "?last=v10", "?n=1&last=v10"] {
        assert_eq!(next(&server.get(&format!("/v2/a/b/tags/list{query}"))), None, "{query}");
    }
}

/// "When `n` is zero, this endpoint MUST return an empty list, and MUST NOT include a `Link` header".
#[test]
fn zero_tags_are_none_without_a_link() {
    let server = with_tags();
    for query in ["?n=0", "?n=0&last=V1"] {
        lists(&server, query, &[]);
        assert_eq!(next(&server.get(&format!("/v2/a/b/tags/list{query}"))), None);
    }
}

/// "`<int>` is an integer specifying the number of tags requested": what is none is the client's mistake.
#[test]
fn a_number_of_tags_that_is_none_is_refused() {
    let server = with_tags();
    for n in ["-1", "x", "1.5", "99999999999999999999", ""] {
        server.get(&format!("/v2/a/b/tags/list?n={n}")).refused(400, "UNSUPPORTED");
    }
}

/// "`<tagname>` will not be included in the results, but up to `<int>` tags *after* `<tagname>` will be returned".
#[test]
fn tags_after_the_last() {
    let server = with_tags();
    lists(&server, "?n=1&last=_x", &["latest"]);
    lists(&server, "?n=9&last=latest", &["v10", "v2"]);
}

/// "`<tagname>` MUST NOT be a numerical index, but rather it MUST be a proper tag": it is a place in the order, whether or
/// not there is such a tag.
#[test]
fn the_last_tag_is_a_name() {
    let server = with_tags();
    lists(&server, "?last=0", &SORTED);
    lists(&server, "?last=m&n=1", &["v10"]);
    lists(&server, "?last=zz", &[]);
}

/// "When using the `last` query parameter, the `n` parameter is OPTIONAL".
#[test]
fn tags_after_the_last_without_a_number() {
    lists(&with_tags(), "?last=latest", &["v10", "v2"]);
}

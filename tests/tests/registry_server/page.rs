//! The pages for people, and what programs that watch are told.

use std::process::Command;

use serde_json::json;
use wharf_tests::sha256;

use crate::server::{INDEX, Server, descriptor, noise};

fn html(server: &Server, path: &str) -> String {
    let answer = server.get(path);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(!text.contains("<script") && !text.contains(" on") && !text.contains("style="), "{text}");
    assert!(text.starts_with("<!DOCTYPE html>") && text.trim_end().ends_with("</html>"));
    text
}

/// Addresses of the links of a page.
fn links(page: &str) -> Vec<&str> {
    page.split("<a ").skip(1).filter_map(|rest| rest.split("href=\"").nth(1)?.split('"').next()).collect()
}

#[test]
fn repositories_tags_and_images_are_shown() {
    let server = Server::start(&[]);
    let digest = server.image("team/app", "v1", &noise(1_234_567));
    let entry = json!({"mediaType": "x/y", "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": "arm64"}});
    let index =
        json!({"schemaVersion": 2, "manifests": [entry], "annotations": {"x": "<script>"}}).to_string();
    assert_eq!(server.put("team/app", "all", INDEX, index.as_bytes()).status, 201);
    let page = html(&server, "/");
    assert!(links(&page).contains(&"/r/team/app") && page.contains("<td>2"), "{page}");
    let page = html(&server, "/r/team/app");
    assert!(page.contains("v1</a><td>1.2 MB"), "{page}");
    assert!(page.contains(&digest[7..19]), "{page}");
    // Every link leads somewhere.
    for link in links(&page) {
        html(&server, link);
    }
    let image = html(&server, "/r/team/app?ref=v1");
    assert!(
        image.contains(&sha256(&noise(1_234_567))[7..19]) && image.contains("<h2>Layers</h2>"),
        "{image}"
    );
    let page = html(&server, "/r/team/app?ref=all");
    assert!(page.contains("linux/arm64"), "{page}");
    assert_eq!(server.get("/style.css").header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(server.get("/r/none").status, 404);
    assert_eq!(server.get("/r/team/app?ref=none").status, 404);
}

/// The document that a browser makes of a page. Pages have no scripts and their policy forbids any, so this is what
/// is seen without JavaScript.
fn in_browser(server: &Server, path: &str) -> String {
    let browser = ["chromium-headless-shell", "chromium"].into_iter().find(|name| {
        let there = Command::new(name).arg("--version").output();
        there.is_ok_and(|output| output.status.success())
    });
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser.expect("the tests need chromium-headless-shell"));
    command.args(["--no-sandbox", "--disable-gpu", "--headless", "--enable-logging=stderr", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    let output = command.arg(format!("http://{}{path}", server.address)).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!complaints.contains("CONSOLE"), "{complaints}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("<link rel=\"stylesheet\""), "{text}\n{complaints}");
    text
}

#[test]
fn a_browser_shows_repositories_tags_sizes_and_layers() {
    let server = Server::start(&[]);
    let digest = server.image("team/app", "v1", &noise(1_234_567));
    let page = in_browser(&server, "/");
    assert!(page.contains("<td><a href=\"/r/team/app\">team/app</a></td><td>1</td>"), "{page}");
    let page = in_browser(&server, "/r/team/app");
    assert!(page.contains("v1</a></td><td>1.2 MB</td>") && page.contains(&digest[7..19]), "{page}");
    let page = in_browser(&server, "/r/team/app?ref=v1");
    assert!(page.contains(&digest) && page.contains("<h2>Layers</h2>"), "{page}");
    assert!(
        page.contains(&format!("{}</code></td><td>1.2 MB</td>", &sha256(&noise(1_234_567))[7..19])),
        "{page}"
    );
}

#[test]
fn what_was_pushed_cannot_speak_html() {
    let server = Server::start(&[]);
    let evil = "<img src=x onerror=alert(1)>\"'";
    let layer = server.blob("a", b"layer");
    let mut entry = descriptor(&layer, 5);
    entry["mediaType"] = json!(evil);
    let manifest = server.manifest("a", &json!({"layers": [entry], "artifactType": evil}));
    assert_eq!(server.put("a", "v1", crate::server::MANIFEST, &manifest).status, 201);
    let answer = server.get("/r/a?ref=v1");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(!text.contains("<img") && text.contains("&lt;img src=x"), "{text}");
}

#[test]
fn a_page_of_a_huge_manifest_is_not_huge() {
    let server = Server::start(&[]);
    let layer = server.blob("a", b"layer");
    let layers = vec![descriptor(&layer, 5); 20_000];
    let manifest = server.manifest("a", &json!({"layers": layers}));
    assert_eq!(server.put("a", "v1", crate::server::MANIFEST, &manifest).status, 201);
    let text = html(&server, "/r/a?ref=v1");
    assert!(text.contains("<p>and 19800 more</p>") && text.len() < 100_000, "{}", text.len());
}

#[test]
fn configured_headers_are_sent_with_all_their_values() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yml");
    let headers = "http: {headers: {X-Content-Type-Options: [other], X-Two: [one, two]}}";
    std::fs::write(&config, headers).unwrap();
    let server = Server::at(&folder.path().join("data"), &[config.to_str().unwrap()], &[]);
    let answer = server.get("/v2/");
    assert_eq!(answer.all("x-two"), ["one", "two"]);
    assert_eq!(answer.all("x-content-type-options"), ["other"]);
}

#[test]
fn metrics_and_health() {
    let server = Server::start(&[]);
    server.blob("a", b"0123456789");
    server.get(&format!("/v2/a/blobs/{}", sha256(b"0123456789")));
    let answer = server.get("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(answer.body).unwrap();
    for line in [
        "wharf_registry_requests_total{route=\"blob\",method=\"GET\",status=\"200\"} 1",
        "wharf_registry_received_bytes_total 10",
        "wharf_registry_sent_bytes_total 10",
        "wharf_registry_uploads 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}

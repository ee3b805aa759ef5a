//! Clients that hold on to a connection, or send without an end: each has a limit, and costs others nothing. Those of HTTP/2
//! are tested with a clock of their own beside the code.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use wharf_tests::sha256;

use crate::server::{Answer, MANIFEST, Server, head};

/// A server whose patience is short.
fn impatient(flags: &[&str], more: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = vec![("REGISTRY_LIMITS_HEADERTIMEOUT", "1s"), ("REGISTRY_LIMITS_BODYTIMEOUT", "1s")];
    limits.extend(more);
    let server = Server::at(&folder.path().join("storage"), flags, &limits);
    (folder, server)
}

/// What a client that says no more sees until the connection is closed.
fn rest(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

fn closed(stream: TcpStream) {
    let rest = rest(stream);
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
}

#[test]
fn heads_that_do_not_end_are_not_waited_for() {
    let (_folder, server) = impatient(&[], &[]);
    let begun = ["", "G", "GET /v2/ HTTP/1.1\r\n", "GET /v2/ HTTP/1.1\r\nX-Slow: "];
    let mut streams: Vec<_> = begun.iter().cycle().take(48).map(|text| (server.connect(), text)).collect();
    for (stream, text) in &mut streams {
        stream.write_all(text.as_bytes()).unwrap();
    }
    // Others are served meanwhile.
    server.image("b", "v1", b"layer");
    streams.into_iter().for_each(|(stream, _)| closed(stream));
}

#[test]
fn a_head_that_goes_on_and_on_is_not_waited_for() {
    let (_folder, server) = impatient(&[], &[]);
    let mut stream = server.connect();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nX-Slow: ").unwrap();
    let mut sending = stream.try_clone().unwrap();
    // One byte after the other, for as long as somebody listens.
    let sender = std::thread::spawn(move || while sending.write_all(b"x").is_ok() {});
    let answer = rest(stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    sender.join().unwrap();
}

#[test]
fn a_connection_that_is_not_used_any_more_is_closed() {
    let (_folder, server) = impatient(&[], &[]);
    let mut stream = server.connect();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: registry.test\r\n\r\n").unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("{}"), "{answer}");
}

#[test]
fn who_finds_no_place_waits_for_the_idle_to_go() {
    let (_folder, server) = impatient(&[], &[("REGISTRY_LIMITS_CONNECTIONS", "2")]);
    let idle: Vec<_> = (0..8).map(|_| server.connect()).collect();
    assert_eq!(server.get("/v2/").status, 200);
    drop(idle);
}

#[test]
fn a_greeting_of_tls_that_does_not_come_is_not_waited_for() {
    let certificates = tempfile::tempdir().unwrap();
    let flags = crate::auth::tls_flags(certificates.path());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (_folder, server) = impatient(&flags, &[]);
    // Nothing at all, and the beginning of a record that would be long.
    for text in [&b""[..], b"\x16\x03\x01\x20\x00\x01"] {
        let mut stream = server.connect();
        stream.write_all(text).unwrap();
        assert_eq!(rest(stream), "");
    }
}

#[test]
fn bodies_that_do_not_come_are_not_waited_for() {
    let (_folder, server) = impatient(&[], &[]);
    let upload = server.begin("a");
    let mut blob = server.connect();
    blob.write_all(head("PATCH", &upload, &[], Some(1000)).as_bytes()).unwrap();
    blob.write_all(b"0123456789").unwrap();
    let mut manifest = server.connect();
    let kind = [("Content-Type", MANIFEST)];
    manifest.write_all(head("PUT", "/v2/a/manifests/v1", &kind, Some(1000)).as_bytes()).unwrap();
    manifest.write_all(b"{").unwrap();
    Answer::read(blob, false).refused(408, "BLOB_UPLOAD_INVALID");
    Answer::read(manifest, false).refused(408, "MANIFEST_INVALID");
    // What came is kept: the client may go on.
    assert_eq!(server.get(&upload).header("range"), Some("0-9"));
}

#[test]
fn an_answer_that_is_not_read_is_cut() {
    let (_folder, server) = impatient(&[], &[]);
    // More than the kernel keeps for both ends.
    let data = vec![7; 64 << 20];
    let digest = server.blob("a", &data);
    let mut stream = server.connect();
    let request = head("GET", &format!("/v2/a/blobs/{digest}"), &[], Some(0));
    stream.write_all(request.as_bytes()).unwrap();
    let connections = || {
        let metrics = String::from_utf8(server.get("/metrics").body).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("wharf_registry_connections ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let until =
        |count: u32| wharf_tests::until(std::time::Duration::from_secs(30), || connections() == count);
    // The one that asks is left.
    assert!(until(2) && until(1));
    assert!(rest(stream).len() < data.len());
}

#[test]
fn heads_that_are_too_large_are_431() {
    let (_folder, server) = impatient(&[], &[]);
    let huge = "x".repeat(200 << 10);
    let many: Vec<_> = (0..500).map(|at| format!("X-{at}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "x")).collect();
    for headers in [&[("X-Huge", huge.as_str())][..], &many] {
        let mut stream = server.connect();
        let _ = stream.write_all(head("GET", "/v2/", headers, Some(0)).as_bytes());
        assert_eq!(Answer::read(stream, false).status, 431);
    }
    let mut stream = server.connect();
    let _ = stream.write_all(head("GET", &format!("/v2/{huge}"), &[], Some(0)).as_bytes());
    assert!([414, 431].contains(&Answer::read(stream, false).status));
}

#[test]
fn a_body_that_is_refused_is_not_asked_for() {
    let server = Server::start(&["--read-only"]);
    let writable = Server::start(&[]);
    let upload = writable.begin("a");
    let expect = ("Expect", "100-continue");
    for (server, method, path, headers, status) in [
        (&server, "PUT", "/v2/a/manifests/v1", &[expect][..], "405"),
        (&writable, "PUT", "/v2/a/manifests/v1", &[expect, ("Content-Type", MANIFEST)], "413"),
        (&writable, "PATCH", upload.as_str(), &[expect, ("Content-Range", "5-9")], "416"),
        (&writable, "PUT", upload.as_str(), &[expect], "400"),
    ] {
        let mut stream = server.connect();
        stream.write_all(head(method, path, headers, Some(5 << 20)).as_bytes()).unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[test]
fn a_manifest_without_an_end_is_413() {
    let (_folder, server) = impatient(&[], &[("REGISTRY_LIMITS_MANIFEST", "10000")]);
    let kind = [("Content-Type", MANIFEST)];
    server.put("a", "v1", MANIFEST, &vec![b' '; 10_001]).refused(413, "SIZE_INVALID");
    // By parts, where no length is said.
    let mut stream = server.connect();
    stream.write_all(head("PUT", "/v2/a/manifests/v1", &kind, None).as_bytes()).unwrap();
    let part = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let mut sending = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || while sending.write_all(part.as_bytes()).is_ok() {});
    Answer::read(&stream, false).refused(413, "SIZE_INVALID");
    let _ = stream.shutdown(std::net::Shutdown::Both);
    sender.join().unwrap();
}

#[test]
fn uploads_that_are_opened_and_left_cost_little() {
    let server = Server::start(&[]);
    for _ in 0..800 {
        server.begin("a");
    }
    let peak = server.peak_memory();
    assert!(peak < 48 << 10, "{peak} KiB");
    server.image("a", "v1", b"layer");
    assert_eq!(server.get(&format!("/v2/a/blobs/{}", sha256(b"layer"))).status, 200);
    let week = std::time::Duration::from_secs(8 * 24 * 3600);
    for file in server.files().iter().filter(|file| file.contains("_uploads")) {
        std::fs::File::open(file).unwrap().set_modified(std::time::SystemTime::now() - week).unwrap();
    }
    let said = server.collect(&[]);
    assert!(said.contains(", 800 uploads"), "{said}");
    assert!(!server.files().iter().any(|file| file.contains("_uploads")));
}

//! Broken connections, killed servers, lies: what was acknowledged stays, the rest costs nothing.

use std::{
    fs,
    io::{Read, Write},
    thread,
    time::Duration,
};

use serde_json::json;
use wharf_tests::{sha256, until};

use crate::server::{Answer, MANIFEST, Server, head, noise, with_digest};

/// How much of an upload is stored.
fn stored(server: &Server, upload: &str) -> usize {
    let answer = server.get(upload);
    assert_eq!(answer.status, 204, "{answer:?}");
    let (_, last) = answer.header("range").unwrap().split_once('-').unwrap();
    match last.parse::<usize>().unwrap() {
        // Nothing, and one byte, read the same.
        0 => 0,
        last => last + 1,
    }
}

#[test]
fn a_push_that_breaks_everywhere_goes_on_where_it_was() {
    let server = Server::start(&[]);
    let data = noise(1_000_000);
    let upload = server.begin("a");
    let mut offset = 0;
    while offset < data.len() {
        // Cut after some bytes of a body that was to have all the rest.
        let range = format!("{offset}-{}", data.len() - 1);
        let request = head("PATCH", &upload, &[("Content-Range", &range)], Some(data.len() - offset));
        let cut = (offset + 77_777).min(data.len());
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(&data[offset..cut]).unwrap();
        drop(stream);
        let came = until(Duration::from_secs(20), || stored(&server, &upload) == cut);
        assert!(came, "{cut}: {}", stored(&server, &upload));
        offset = cut;
    }
    let digest = sha256(&data);
    assert_eq!(server.send("PUT", &with_digest(&upload, &digest), &[], b"").status, 201);
    assert!(server.get(&format!("/v2/a/blobs/{digest}")).body == data);
}

#[test]
fn a_killed_server_lost_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let data = noise(400_000);
    let (upload, blob, image) = {
        let server = Server::at(folder.path(), &[], &[]);
        let image = server.image("a", "v1", &noise(5000));
        let blob = server.blob("a", &noise(9000));
        let upload = server.begin("a");
        assert_eq!(server.send("PATCH", &upload, &[], &data[..150_000]).status, 202);
        // One request is under way when it happens.
        let mut stream = server.connect();
        let request = head("PATCH", &upload, &[], Some(250_000));
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(&data[150_000..300_000]).unwrap();
        server.kill();
        (upload, blob, image)
    };
    let server = Server::at(folder.path(), &[], &[]);
    assert_eq!(server.get(&format!("/v2/a/manifests/{image}")).status, 200);
    assert_eq!(sha256(&server.get(&format!("/v2/a/blobs/{blob}")).body), blob);
    let offset = stored(&server, &upload);
    assert!((150_000..=300_000).contains(&offset), "{offset}");
    let range = format!("{offset}-{}", data.len() - 1);
    let rest = server.send("PATCH", &upload, &[("Content-Range", &range)], &data[offset..]);
    assert_eq!(rest.status, 202);
    assert_eq!(server.send("PUT", &with_digest(&upload, &sha256(&data)), &[], b"").status, 201);
    assert!(server.get(&format!("/v2/a/blobs/{}", sha256(&data))).body == data);
}

#[test]
fn a_client_that_comes_back_takes_its_upload_over() {
    let server = Server::start(&[]);
    let upload = server.begin("a");
    // The first connection hangs: neither end, nor more bytes.
    let mut hanging = server.connect();
    let expect = [("Expect", "100-continue")];
    hanging.write_all(head("PATCH", &upload, &expect, Some(1000)).as_bytes()).unwrap();
    // That it is told to go on means that it has the upload.
    let mut go_on = [0; 25];
    hanging.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    hanging.write_all(b"first ").unwrap();
    let answer = server.send("PUT", &with_digest(&upload, &sha256(b"first second")), &[], b"second");
    // Whether the first bytes were read before is a race; either the push is whole or it says that it is not.
    match answer.status {
        201 => assert_eq!(server.get(&format!("/v2/a/blobs/{}", sha256(b"first second"))).status, 200),
        _ => answer.refused(400, "DIGEST_INVALID"),
    }
    drop(hanging);
}

#[test]
fn wrong_lengths_and_digests_leave_nothing() {
    let server = Server::start(&[]);
    let data = noise(200_000);
    let answer = server.send("PUT", &with_digest(&server.begin("a"), &sha256(b"x")), &[], &data);
    answer.refused(400, "DIGEST_INVALID");
    assert_eq!(answer.json()["errors"][0]["detail"]["uploaded"], sha256(&data).as_str());
    let upload = server.begin("a");
    let long = [("Content-Range", "0-9")];
    server.send("PATCH", &upload, &long, &data).refused(400, "SIZE_INVALID");
    // The same in chunks, where the length shows at the end only.
    let mut stream = server.connect();
    stream.write_all(head("PATCH", &upload, &long, None).as_bytes()).unwrap();
    write!(stream, "14\r\n{}\r\n0\r\n\r\n", "x".repeat(20)).unwrap();
    Answer::read(stream, false).refused(400, "SIZE_INVALID");
    assert_eq!(stored(&server, &upload), 0);
    assert_eq!(server.delete(&upload).status, 204);
    assert!(!server.files().iter().any(|file| file.contains("/data")), "{:?}", server.files());
}

#[test]
fn memory_stays_flat_with_many_clients() {
    let server = Server::start(&[]);
    let data = noise(8 << 20);
    let digest = sha256(&data);
    server.blob("a", &data);
    thread::scope(|scope| {
        for client in 0..64 {
            let (server, data, digest) = (&server, &data, &digest);
            scope.spawn(move || {
                if client % 2 == 0 {
                    let answer = server.get(&format!("/v2/a/blobs/{digest}"));
                    assert!(answer.body == *data);
                } else {
                    let name = format!("push-{client}");
                    let upload = server.begin(&name);
                    let answer = server.send("PUT", &with_digest(&upload, digest), &[], data);
                    assert_eq!(answer.status, 201, "{answer:?}");
                }
            });
        }
    });
    let peak = server.peak_memory();
    assert!(peak <= 64 << 10, "{peak} kB");
}

#[test]
fn the_same_blob_pushed_by_many_at_once() {
    let server = Server::start(&[]);
    let data = noise(500_000);
    thread::scope(|scope| {
        for client in 0..16 {
            let (server, data) = (&server, &data);
            scope.spawn(move || server.image("same", &format!("v{client}"), data));
        }
    });
    assert_eq!(server.get("/v2/same/tags/list").json()["tags"].as_array().unwrap().len(), 16);
    let copies = server.files().iter().filter(|file| fs::metadata(file).unwrap().len() == 500_000).count();
    assert_eq!(copies, 1);
    let manifest = server.manifest("same", &json!({}));
    assert_eq!(server.put("same", "other", MANIFEST, &manifest).status, 201);
}

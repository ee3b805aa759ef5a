//! Collecting garbage beside a server.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use wharf_tests::sha256;

use crate::server::{MANIFEST, Server, noise};

#[test]
fn nothing_acknowledged_is_lost_to_a_collection() {
    let server = Server::start(&["--delete"]);
    let ended = AtomicBool::new(false);
    let images = thread::scope(|scope| {
        let pushing: Vec<_> = (0..4)
            .map(|client| {
                let server = &server;
                scope.spawn(move || {
                    let name = format!("client-{client}");
                    (0..12)
                        .map(|at| {
                            let digest =
                                server.image(&name, &format!("v{at}"), &noise(2000 + client * 50 + at));
                            if at % 3 == 0 {
                                server.delete(&format!("/v2/{name}/manifests/{digest}"));
                                return None;
                            }
                            Some((name.clone(), digest, sha256(&noise(2000 + client * 50 + at))))
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let collecting = scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                // No blob is older than that: what protects the pushes is not their age, but that they refer.
                server.collect(&["--grace", "1s"]);
            }
        });
        let images: Vec<_> =
            pushing.into_iter().flat_map(|thread| thread.join().unwrap()).flatten().collect();
        ended.store(true, Ordering::SeqCst);
        collecting.join().unwrap();
        images
    });
    assert_eq!(images.len(), 32);
    for (name, manifest, layer) in images {
        assert_eq!(server.get(&format!("/v2/{name}/manifests/{manifest}")).status, 200);
        assert_eq!(sha256(&server.get(&format!("/v2/{name}/blobs/{layer}")).body), layer);
    }
}

#[test]
fn what_is_mounted_outlives_where_it_came_from() {
    let server = Server::start(&["--delete"]);
    let layers: Vec<_> = (0..24).map(|at| noise(3000 + at)).collect();
    let first: Vec<_> = layers.iter().map(|layer| server.image("from", "v1", layer)).collect();
    let hours = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 3600);
    for file in server.files() {
        std::fs::File::open(file).unwrap().set_modified(hours).unwrap();
    }
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                // Time for a manifest to follow its blobs, which are hours old.
                server.collect(&["--grace", "10s"]);
            }
        });
        for (layer, manifest) in layers.iter().zip(&first) {
            let body = server.get(&format!("/v2/from/manifests/{manifest}")).body;
            for blob in [sha256(layer), sha256(b"{}")] {
                let mount = format!("/v2/to/blobs/uploads/?mount={blob}&from=from");
                assert_eq!(server.send("POST", &mount, &[], b"").status, 201);
            }
            assert_eq!(server.delete(&format!("/v2/from/manifests/{manifest}")).status, 202);
            assert_eq!(server.put("to", manifest, MANIFEST, &body).status, 201);
        }
        server.collect(&["--grace", "0s"]);
        ended.store(true, Ordering::SeqCst);
    });
    for (layer, manifest) in layers.iter().zip(&first) {
        assert_eq!(server.get(&format!("/v2/to/manifests/{manifest}")).status, 200);
        assert!(server.get(&format!("/v2/to/blobs/{}", sha256(layer))).body == *layer);
    }
}

#[test]
fn space_is_given_back_while_the_server_runs() {
    let server = Server::start(&["--delete"]);
    let digest = server.image("a", "v1", &noise(100_000));
    server.image("a", "v2", &noise(50_000));
    assert!(server.collect(&[]).starts_with("removed 0 blobs"));
    assert_eq!(server.delete(&format!("/v2/a/manifests/{digest}")).status, 202);
    // As if it had been an hour ago.
    for file in server.files().iter().filter(|file| file.contains("/blobs/")) {
        let hour = std::time::Duration::from_secs(2 * 3600);
        std::fs::File::open(file).unwrap().set_modified(std::time::SystemTime::now() - hour).unwrap();
    }
    let said = server.collect(&[]);
    assert!(said.starts_with("removed 2 blobs"), "{said}");
    assert_eq!(server.get("/v2/a/manifests/v2").status, 200);
    server.get(&format!("/v2/a/blobs/{}", sha256(&noise(100_000)))).refused(404, "BLOB_UNKNOWN");
}

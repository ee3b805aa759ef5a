//! Collecting garbage beside a server.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use wharf_tests::sha256;

use crate::server::{Server, noise};

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

//! A disk without room: clients are told, what was acknowledged stays, the rest leaves nothing, and there is a way back.

use serde_json::json;
use wharf_tests::{SmallDisk, sha256, until};

use crate::server::{Answer, INDEX, MANIFEST, Server, descriptor, noise, with_digest};

const MEGABYTES: u64 = 24;

fn on_small_disk(flags: &[&str]) -> (tempfile::TempDir, SmallDisk, Server) {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), MEGABYTES);
    let server = Server::at(folder.path(), flags, &[]);
    (folder, disk, server)
}

/// Blobs that differ, the same in every test.
fn blob(at: u64) -> Vec<u8> {
    noise((1 << 20) + usize::try_from(at).unwrap())
}

fn push(server: &Server, data: &[u8]) -> Answer {
    server.send("PUT", &with_digest(&server.begin("a"), &sha256(data)), &[], data)
}

#[track_caller]
fn is_full(answer: &Answer) {
    answer.refused(507, "UNAVAILABLE");
    let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("no space left on device"), "{message}");
}

/// Pushes blobs until there is no room for another; how many there are, and what the last client was told.
fn fill(server: &Server) -> (u64, Answer) {
    for at in 0..2 * MEGABYTES {
        let answer = push(server, &blob(at));
        if answer.status != 201 {
            return (at, answer);
        }
    }
    panic!("the disk is never full");
}

#[track_caller]
fn has_all(server: &Server, count: u64) {
    for at in 0..count {
        let data = blob(at);
        assert!(server.get(&format!("/v2/a/blobs/{}", sha256(&data))).body == data, "{at}");
    }
}

#[test]
fn what_does_not_fit_is_said_so_and_leaves_nothing() {
    let (folder, disk, server) = on_small_disk(&[]);
    let (count, refused) = fill(&server);
    is_full(&refused);
    assert!(count > MEGABYTES / 2, "{count}");
    let used = disk.used();
    // In every way that bytes come, again and again.
    let data = blob(count);
    let digest = sha256(&data);
    for _ in 0..3 {
        is_full(&push(&server, &data));
        is_full(&server.send("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], &data));
        let upload = server.begin("a");
        is_full(&server.send("PATCH", &upload, &[], &data));
        server.get(&upload).refused(404, "BLOB_UPLOAD_UNKNOWN");
    }
    server.get(&format!("/v2/a/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
    assert!(!server.files().iter().any(|file| file.contains("_uploads")), "{:?}", server.files());
    assert!(until(std::time::Duration::from_secs(10), || disk.used() <= used + 64), "{} {used}", disk.used());
    // What was acknowledged is there, and after a restart as well.
    has_all(&server, count);
    server.kill();
    let server = Server::at(folder.path(), &[], &[]);
    has_all(&server, count);
    assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).status, 404);
}

#[test]
fn a_manifest_that_does_not_fit_is_not_half_there() {
    let (_folder, disk, server) = on_small_disk(&[]);
    let kept = server.image("a", "v1", b"layer");
    let (config, layer) = (server.blob("a", b"{}"), descriptor(&sha256(b"layer"), 5));
    fill(&server);
    // The rest, to the last block.
    for size in [256 << 10, 64 << 10, 16 << 10, 4 << 10, 1 << 10] {
        let mut data = noise(size);
        while push(&server, &data).status == 201 {
            data[0] = data[0].wrapping_add(1);
            data[1] = data[1].wrapping_add(u8::from(data[0] == 0));
        }
    }
    let free = disk.free();
    let manifest = |length: usize| {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer],
            "config": {"mediaType": "application/vnd.test.config+json", "digest": config, "size": 2},
            "annotations": {"a": "x".repeat(length)},
        });
        serde_json::to_vec(&manifest).unwrap()
    };
    for (at, length) in [2 << 20, 200_000, 20_000, 2_000, 10].into_iter().enumerate() {
        let (manifest, tag) = (manifest(length), format!("large{at}"));
        let digest = sha256(&manifest);
        let answer = server.put("a", &tag, MANIFEST, &manifest);
        let (by_tag, by_digest) = (format!("/v2/a/manifests/{tag}"), format!("/v2/a/manifests/{digest}"));
        let listed = server.get("/v2/a/tags/list").json()["tags"].as_array().unwrap().contains(&json!(tag));
        if answer.status == 201 {
            assert!(server.get(&by_tag).body == manifest && listed);
        } else {
            is_full(&answer);
            assert_eq!((server.get(&by_tag).status, listed), (404, false));
            // The bytes may be whole by their digest; they are never half.
            let by_digest = server.get(&by_digest);
            assert!(by_digest.status == 404 || by_digest.body == manifest);
        }
    }
    let first = server.put("a", "first", MANIFEST, &manifest(2 << 20));
    assert!(first.status == 507, "{free}: {first:?}");
    // An image that is there stays, and its tag.
    assert_eq!(server.get("/v2/a/manifests/v1").header("docker-content-digest"), Some(&*kept));
    let index = json!({"schemaVersion": 2, "manifests": [], "annotations": {"a": "x".repeat(2 << 20)}});
    is_full(&server.put("a", "v1", INDEX, index.to_string().as_bytes()));
    assert_eq!(server.get("/v2/a/manifests/v1").header("docker-content-digest"), Some(&*kept));
}

#[test]
fn room_comes_back_by_deletion_and_collection() {
    let (_folder, disk, server) = on_small_disk(&["--delete"]);
    let image = server.image("a", "v1", &noise(300_000));
    let (count, _) = fill(&server);
    let used = disk.used();
    for at in 0..count - 1 {
        assert_eq!(server.delete(&format!("/v2/a/blobs/{}", sha256(&blob(at)))).status, 202);
    }
    // The bytes stay until they are collected, and for the time in which a manifest may come.
    assert!(server.collect(&[]).starts_with("removed 0 blobs"));
    for file in server.files().iter().filter(|file| file.contains("/blobs/")) {
        let hours = std::time::Duration::from_secs(2 * 3600);
        std::fs::File::open(file).unwrap().set_modified(std::time::SystemTime::now() - hours).unwrap();
    }
    let said = server.collect(&[]);
    assert!(said.starts_with(&format!("removed {count} blobs")), "{said}");
    assert!(until(std::time::Duration::from_secs(10), || disk.used() + 1024 * (count - 1) <= used));
    assert_eq!(server.get(&format!("/v2/a/manifests/{image}")).status, 200);
    server.image("a", "v2", &noise(10 << 20));
    assert_eq!(server.get("/v2/a/manifests/v2").status, 200);
}

#[test]
fn no_room_for_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), MEGABYTES);
    let server = Server::at(folder.path(), &[], &[]);
    let digest = server.image("a", "v1", b"layer");
    // Whatever is left of the disk's list of files.
    let filler = folder.path().join("filler");
    std::fs::create_dir(&filler).unwrap();
    let taken = (0..).take_while(|at| std::fs::write(filler.join(at.to_string()), b"").is_ok()).count();
    let refused = server.send("POST", "/v2/a/blobs/uploads/", &[], b"");
    is_full(&refused);
    assert_eq!(server.get(&format!("/v2/a/manifests/{digest}")).status, 200);
    for at in 0..taken {
        std::fs::remove_file(filler.join(at.to_string())).unwrap();
    }
    server.image("a", "v2", b"another");
    drop(disk);
}

//! The folder of the reference registry, written and read by either, before and after either collected garbage.

use std::{path::Path, time::SystemTime};

use serde_json::json;
use wharf_tests::{Archive, Registry, sha256};

use crate::server::{
    Answer, DOCKER_MANIFEST, INDEX, MANIFEST, Server, ask, descriptor, noise, sha512, with_digest,
};

/// The storage of a [`Registry`] that was started in `folder`.
fn storage(folder: &Path) -> std::path::PathBuf {
    folder.join("registry/storage")
}

fn ours(folder: &Path) -> Server {
    Server::at(&storage(folder), &["--delete"], &[])
}

/// As if all of it had been written hours ago, so that no grace time saves it.
fn grow_old(server: &Server) {
    let hours = SystemTime::now() - std::time::Duration::from_secs(3 * 3600);
    for file in server.files() {
        std::fs::File::open(file).unwrap().set_modified(hours).unwrap();
    }
}

/// Every blob of the image under a tag is there.
#[track_caller]
fn is_whole(address: &str, name: &str, tag: &str, digest: &str) {
    // The reference registry turns what a client does not name into older kinds.
    let accept = [MANIFEST, INDEX, DOCKER_MANIFEST].map(|kind| ("Accept", kind));
    let get = |path: &str| ask(address, "GET", path, &accept, b"");
    let manifest = get(&format!("/v2/{name}/manifests/{tag}"));
    assert_eq!((manifest.status, sha256(&manifest.body).as_str()), (200, digest), "{manifest:?}");
    let document = manifest.json();
    for entry in document["layers"].as_array().into_iter().flatten().chain(document.get("config")) {
        let blob = entry["digest"].as_str().unwrap();
        let answer = get(&format!("/v2/{name}/blobs/{blob}"));
        let found = if blob.starts_with("sha512") { sha512(&answer.body) } else { sha256(&answer.body) };
        assert_eq!((answer.status, found.as_str()), (200, blob));
    }
    for entry in document["manifests"].as_array().into_iter().flatten() {
        let digest = entry["digest"].as_str().unwrap();
        is_whole(address, name, digest, digest);
    }
}

#[test]
fn what_the_reference_registry_wrote_is_served_and_collected() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, gone, upload, begun) = {
        let reference = Registry::start(folder.path());
        let digest = |name: &str| reference.digest(&format!("{}/{name}", reference.address));
        reference.push(&Archive::busybox_with("kept", &noise(50_000)), "group/app:v1");
        let kept = digest("group/app:v1");
        reference.push(&Archive::busybox_with("gone", &noise(60_000)), "group/app:v2");
        let gone = digest("group/app:v2");
        let path = format!("/v2/group/app/manifests/{gone}");
        assert_eq!(ask(&reference.address, "DELETE", &path, &[], b"").status, 202);
        // An upload that was not finished.
        let begun = ask(&reference.address, "POST", "/v2/group/app/blobs/uploads/", &[], b"");
        let place = begun.header("location").unwrap().to_owned();
        let place = place.split_once("/v2/").unwrap().1;
        assert_eq!(
            ask(&reference.address, "PATCH", &format!("/v2/{place}"), &[], b"begun there").status,
            202
        );
        let empty = ask(&reference.address, "POST", "/v2/group/app/blobs/uploads/", &[], b"");
        let id = |answer: &Answer| answer.header("docker-upload-uuid").unwrap().to_owned();
        (kept, gone, id(&begun), id(&empty))
    };
    let server = ours(folder.path());
    assert_eq!(server.get("/v2/_catalog").json()["repositories"], json!(["group/app"]));
    assert_eq!(server.get("/v2/group/app/tags/list").json()["tags"], json!(["v1"]));
    is_whole(&server.address, "group/app", "v1", &kept);
    server.get(&format!("/v2/group/app/manifests/{gone}")).refused(404, "MANIFEST_UNKNOWN");
    // Uploads go on here.
    for (id, before) in [(upload, "begun there"), (begun, "")] {
        let place = format!("/v2/group/app/blobs/uploads/{id}");
        assert_eq!(server.get(&place).status, 204);
        assert_eq!(server.send("PATCH", &place, &[], b", ended here").status, 202);
        let whole = format!("{before}, ended here");
        let closing = with_digest(&place, &sha256(whole.as_bytes()));
        assert_eq!(server.send("PUT", &closing, &[], b"").status, 201);
    }
    // What nothing refers to goes, and nothing else.
    grow_old(&server);
    let (before, said) = (server.files().len(), server.collect(&[]));
    assert!(!said.starts_with("removed 0 blobs") && server.files().len() < before, "{said}");
    is_whole(&server.address, "group/app", "v1", &kept);
    drop(server);
    let reference = Registry::start(folder.path());
    is_whole(&reference.address, "group/app", "v1", &kept);
    // Both think alike of what is garbage: there is none left.
    let said = reference.collect();
    assert!(said.contains(" 0 blobs and 0 manifests eligible for deletion"), "{said}");
}

#[test]
fn what_was_written_here_the_reference_registry_serves_and_collects() {
    let folder = tempfile::tempdir().unwrap();
    let (image, index, referrer, blob) = {
        let server = ours(folder.path());
        let image = server.image("group/app", "v1", &noise(50_000));
        let size = server.get("/v2/group/app/manifests/v1").body.len();
        let entry = json!({"mediaType": MANIFEST, "digest": image, "size": size});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).to_string();
        assert_eq!(server.put("group/app", "all", INDEX, index.as_bytes()).status, 201);
        let about = server.manifest("group/app", &json!({"subject": descriptor(&image, size)}));
        assert_eq!(server.put("group/app", "about", MANIFEST, &about).status, 201);
        // A layer under another algorithm, and one from another repository.
        let long = sha512(b"long");
        let upload = with_digest(&server.begin("group/app"), &long);
        assert_eq!(server.send("PUT", &upload, &[], b"long").status, 201);
        let manifest = server.manifest("group/app", &json!({"layers": [descriptor(&long, 4)]}));
        assert_eq!(server.put("group/app", "long", MANIFEST, &manifest).status, 201);
        let mount = format!("/v2/other/blobs/uploads/?mount={long}&from=group/app");
        assert_eq!(server.send("POST", &mount, &[], b"").status, 201);
        let deleted = server.image("group/app", "gone", b"gone");
        assert_eq!(server.delete(&format!("/v2/group/app/manifests/{deleted}")).status, 202);
        assert_eq!(server.put("group/app", "untagged", MANIFEST, &manifest).status, 201);
        assert_eq!(server.delete("/v2/group/app/manifests/untagged").status, 202);
        grow_old(&server);
        let said = server.collect(&[]);
        assert!(said.starts_with("removed 2 blobs"), "{said}");
        (image, sha256(index.as_bytes()), sha256(&about), long)
    };
    let reference = Registry::start(folder.path());
    let get = |path: &str| ask(&reference.address, "GET", path, &[("Accept", MANIFEST)], b"");
    assert_eq!(get("/v2/_catalog").json()["repositories"], json!(["group/app", "other"]));
    let mut tags = get("/v2/group/app/tags/list").json()["tags"].as_array().unwrap().clone();
    tags.sort_by_key(ToString::to_string);
    assert_eq!(tags, ["about", "all", "long", "v1"]);
    let all_whole = |address: &str| {
        is_whole(address, "group/app", "v1", &image);
        is_whole(address, "group/app", "all", &index);
        is_whole(address, "group/app", "about", &referrer);
        assert_eq!(ask(address, "GET", &format!("/v2/other/blobs/{blob}"), &[], b"").body, b"long");
    };
    all_whole(&reference.address);
    assert_eq!(get("/v2/group/app/manifests/gone").status, 404);
    let said = reference.collect();
    assert!(said.contains(" 0 blobs and 0 manifests eligible for deletion"), "{said}");
    all_whole(&reference.address);
    // It deletes what was written here, and this side sees that.
    let path = format!("/v2/group/app/manifests/{referrer}");
    assert_eq!(ask(&reference.address, "DELETE", &path, &[], b"").status, 202);
    reference.push(&Archive::busybox("moved"), "group/app:v1");
    let moved = reference.digest(&format!("{}/group/app:v1", reference.address));
    drop(reference);
    let server = ours(folder.path());
    server.get(&path).refused(404, "MANIFEST_UNKNOWN");
    let referrers = server.get(&format!("/v2/group/app/referrers/{image}")).json();
    assert_eq!(referrers["manifests"], json!([]));
    is_whole(&server.address, "group/app", "v1", &moved);
    is_whole(&server.address, "group/app", "all", &index);
}

//! The folder of the reference registry, read and written by either.

use serde_json::json;
use wharf_tests::sha256;

use crate::server::Server;

#[test]
fn a_folder_of_the_reference_registry_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let reference = wharf_tests::Registry::start(folder.path());
    let image = wharf_tests::Archive::busybox("moved");
    let name = reference.push(&image, "group/app:v1");
    let digest = reference.digest(&name);
    drop(reference);
    let storage = folder.path().join("registry/storage");
    let server = Server::at(&storage, &[], &[]);
    assert_eq!(server.get("/v2/_catalog").json()["repositories"], json!(["group/app"]));
    let answer = server.get("/v2/group/app/manifests/v1");
    assert_eq!(answer.header("docker-content-digest"), Some(digest.as_str()));
    for layer in answer.json()["layers"].as_array().unwrap() {
        let layer = layer["digest"].as_str().unwrap();
        assert_eq!(sha256(&server.get(&format!("/v2/group/app/blobs/{layer}")).body), layer);
    }
    // And the other way: what is pushed here, the reference registry serves.
    assert_eq!(
        server.put("group/app", "v2", answer.header("content-type").unwrap(), &answer.body).status,
        201
    );
    let blob = server.blob("group/app", b"text");
    drop(server);
    let reference = wharf_tests::Registry::start(folder.path());
    assert_eq!(reference.digest(&format!("{}/group/app:v2", reference.address)), digest);
    let path = format!("/v2/group/app/blobs/{blob}");
    assert_eq!(wharf_tests::http_get(&*reference.address, &path).unwrap(), "text");
}

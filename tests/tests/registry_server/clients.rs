//! Other programs, and wharf itself, against the registry.

use std::{fs, process::Command};

use wharf_tests::{Archive, TestDaemon, until};

use crate::server::Server;

fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").arg("--insecure-policy").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn skopeo_pushes_lists_copies_and_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&["--delete"]);
    let archive = folder.path().join("image.tar");
    fs::write(&archive, Archive::busybox("by skopeo").to_tar("x:latest")).unwrap();
    let from = format!("docker-archive:{}", archive.display());
    let at = |name: &str| format!("docker://{}/{name}", server.address);
    for format in ["v2s2", "oci"] {
        skopeo(&[
            "copy",
            "--dest-tls-verify=false",
            "--format",
            format,
            &from,
            &at(&format!("app:{format}")),
        ]);
    }
    let listed = skopeo(&["list-tags", "--tls-verify=false", &at("app")]);
    assert!(listed.contains("\"oci\"") && listed.contains("\"v2s2\""), "{listed}");
    let (source, destination) = ("--src-tls-verify=false", "--dest-tls-verify=false");
    skopeo(&["copy", source, destination, &at("app:oci"), &at("other/app:oci")]);
    let layout = format!("oci:{}:x", folder.path().join("layout").display());
    skopeo(&["copy", source, &at("other/app:oci"), &layout]);
    skopeo(&["delete", "--tls-verify=false", &at("app:v2s2")]);
    assert_eq!(server.get("/v2/app/manifests/v2s2").status, 404);
    assert_eq!(server.get("/v2/app/manifests/oci").status, 200);
}

#[test]
fn the_embedded_image_is_a_registry() {
    let daemon = TestDaemon::start("regimage");
    let data = daemon.folder.join("data");
    let volume = format!("{}:/var/lib/registry", data.display());
    fs::create_dir_all(&data).unwrap();
    // There is no network in which another could be found; a registry that answers would win.
    let id =
        daemon.run(&["run", "-d", "-e", "REGISTRY_STORAGE_DELETE_ENABLED=true", "-v", &volume, "registry:2"]);
    let address = daemon.run(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", &id]);
    let address = format!("{address}:5000");
    let answers = || wharf_tests::http_get(&*address, "/v2/").is_ok_and(|body| body == "{}");
    assert!(until(std::time::Duration::from_secs(20), answers), "{}", daemon.run(&["logs", &id]));
    let archive = daemon.folder.join("image.tar");
    fs::write(&archive, Archive::busybox("pushed").to_tar("x:latest")).unwrap();
    let from = format!("docker-archive:{}", archive.display());
    skopeo(&["copy", "--dest-tls-verify=false", &from, &format!("docker://{address}/app:v1")]);
    assert!(data.join("docker/registry/v2/repositories/app/_manifests/tags/v1/current/link").exists());
    // As people collect garbage in the reference image.
    let said = daemon.run(&["exec", &id, "registry", "garbage-collect", "/etc/docker/registry/config.yml"]);
    assert!(said.starts_with("removed 0 blobs"), "{said}");
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Config.ExposedPorts}}", &id]), "map[5000/tcp:{}]");
}

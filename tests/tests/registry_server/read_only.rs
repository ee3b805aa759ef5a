//! A registry that nobody may write to.

use std::{collections::BTreeMap, time::SystemTime};

use wharf_tests::sha256;

use crate::server::{MANIFEST, Server, with_digest};

/// All files of the storage with their times.
fn times(server: &Server) -> BTreeMap<String, SystemTime> {
    let modified = |file: &String| std::fs::metadata(file).unwrap().modified().unwrap();
    server.files().into_iter().map(|file| (file.clone(), modified(&file))).collect()
}

#[test]
fn nothing_is_written_by_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let (digest, upload) = {
        let server = Server::at(folder.path(), &[], &[]);
        let upload = server.begin("a");
        assert_eq!(server.send("PATCH", &upload, &[], b"some").status, 202);
        (server.image("a", "v1", b"layer"), upload)
    };
    let variable = [("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")];
    let server = Server::at(folder.path(), &["--delete"], &variable);
    let before = times(&server);
    let blob = format!("/v2/a/blobs/{}", sha256(b"layer"));
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/a/tags/list",
        "/v2/a/manifests/v1",
        &format!("/v2/a/referrers/{digest}"),
        &blob,
        "/r/a?ref=v1",
    ] {
        assert_eq!((server.get(path).status, server.head(path).status), (200, 200), "{path}");
    }
    assert_eq!(server.get(&upload).header("range"), Some("0-3"));
    let manifest = server.get("/v2/a/manifests/v1").body;
    server.put("a", "v2", MANIFEST, &manifest).refused(405, "UNSUPPORTED");
    let mount = format!("/v2/b/blobs/uploads/?mount={}&from=a", sha256(b"layer"));
    for (method, path) in [
        ("POST", "/v2/a/blobs/uploads/"),
        ("POST", &mount),
        ("PATCH", &upload),
        ("PUT", &with_digest(&upload, &sha256(b"some"))),
        ("DELETE", &upload),
        ("DELETE", "/v2/a/manifests/v1"),
        ("DELETE", &format!("/v2/a/manifests/{digest}")),
        ("DELETE", &blob),
    ] {
        let answer = server.send(method, path, &[], b"");
        answer.refused(405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
    }
    assert_eq!(times(&server), before);
}

//! Files in and out of containers.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Stdio,
};

use wharf_tests::TestDaemon;

/// A request with a body; returns the whole answer.
fn call(daemon: &TestDaemon, request: &str, body: &[u8]) -> String {
    let mut stream = UnixStream::connect(daemon.folder.join("wharf.sock")).unwrap();
    let length = body.len();
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
        .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn copies_go_both_ways_whether_it_runs_or_not() {
    let daemon = TestDaemon::start("cp");
    let path = |name: &str| daemon.folder.join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(path("d/sub")).unwrap();
    fs::write(path("d/sub/two"), "two\n").unwrap();
    std::os::unix::fs::symlink("sub/two", path("d/link")).unwrap();
    daemon.run(&["create", "--name", "still", "-v", "vol:/vol", "busybox", "cat", "/new/link", "/vol/two"]);
    daemon.run(&["run", "-d", "--name", "runs", "-v", "shared:/vol", "busybox", "sleep", "1000"]);
    for name in ["still", "runs"] {
        let of = |path: &str| format!("{name}:{path}");
        daemon.run(&["cp", &path("d"), &of("/new")]);
        daemon.run(&["cp", &path("d/sub/two"), &of("/vol")]);
        daemon.run(&["cp", &of("/new"), &path(name)]);
        assert_eq!(fs::read_to_string(path(&format!("{name}/link"))).unwrap(), "two\n");
        daemon.run(&["cp", &of("/vol/two"), &path("two")]);
        assert_eq!(fs::read_to_string(path("two")).unwrap(), "two\n");
        let missing = daemon.wharf(&["cp", &of("/no"), &path("no")]);
        let words = format!("Error response from daemon: Could not find the file /no in container {name}\n");
        assert_eq!((missing.stderr, missing.code), (words, 1));
    }
    assert_eq!(daemon.run(&["exec", "runs", "cat", "/new/link", "/vol/two"]), "two\ntwo");
    assert_eq!(daemon.run(&["start", "-a", "still"]), "two\ntwo");
    assert!(daemon.data().join("volumes/vol/_data/two").exists());
}

#[test]
fn read_only_places_stay_as_they_are() {
    let daemon = TestDaemon::start("cpro");
    let file = daemon.folder.join("file");
    fs::write(&file, "x").unwrap();
    daemon.run(&[
        "create",
        "--read-only",
        "-v",
        "aa:/ro:ro",
        "-v",
        "bb:/rw",
        "--name",
        "box",
        "busybox",
        "true",
    ]);
    let put = |to: &str| daemon.wharf(&["cp", file.to_str().unwrap(), &format!("box:{to}")]).stderr;
    assert_eq!(put("/"), "Error response from daemon: container rootfs is marked read-only\n");
    assert_eq!(put("/ro"), "Error response from daemon: mounted volume is marked read-only\n");
    assert!(!put("/rw").contains("rror"));
    assert!(daemon.data().join("volumes/bb/_data/file").exists());
}

#[test]
fn changes_have_letters() {
    let daemon = TestDaemon::start("diff");
    daemon.run(&[
        "run",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "echo >/a; rm /etc/group; echo >>/etc/passwd",
    ]);
    assert_eq!(daemon.run(&["diff", "box"]), "A /a\nC /etc\nD /etc/group\nC /etc/passwd");
    daemon.run(&["create", "--name", "none", "busybox", "true"]);
    assert_eq!(daemon.run(&["diff", "none"]), "");
    assert!(call(&daemon, "GET /containers/none/changes", b"").ends_with("null\n"));
}

#[test]
fn an_export_is_an_image_again() {
    let daemon = TestDaemon::start("export");
    daemon.run(&["run", "--name", "box", "busybox", "sh", "-c", "echo kept >/kept; rm /etc/group"]);
    let tar = daemon.folder.join("x.tar");
    daemon.run(&["export", "-o", tar.to_str().unwrap(), "box"]);
    daemon.run(&["import", tar.to_str().unwrap(), "again"]);
    assert_eq!(daemon.run(&["run", "--rm", "again", "cat", "/kept"]), "kept");
    assert_eq!(daemon.wharf(&["run", "--rm", "again", "cat", "/etc/group"]).code, 1);
}

#[test]
fn a_new_volume_gets_the_images_content() {
    let daemon = TestDaemon::start("copyup");
    daemon.run(&["create", "-v", "new:/etc", "-v", "none:/bin:nocopy", "busybox", "true"]);
    let data = daemon.data().join("volumes");
    assert!(data.join("new/_data/passwd").exists());
    assert_eq!(fs::read_dir(data.join("none/_data")).unwrap().count(), 0);
    fs::remove_file(data.join("new/_data/passwd")).unwrap();
    daemon.run(&["create", "-v", "new:/etc", "busybox", "true"]);
    assert!(!data.join("new/_data/passwd").exists(), "a volume with content is left alone");
}

#[test]
fn archives_do_not_reach_the_host() {
    let daemon = TestDaemon::start("hostile");
    daemon.run(&["create", "--name", "still", "busybox", "true"]);
    daemon.run(&["run", "-d", "--name", "runs", "busybox", "sleep", "1000"]);
    let outside = daemon.folder.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let target = outside.to_str().unwrap();
    for name in ["still", "runs"] {
        let put = |archive: &[u8]| {
            let answer = call(&daemon, &format!("PUT /containers/{name}/archive?path=/tmp"), archive);
            answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
        };
        // A link in the archive, and then a file through it: it lands inside the container.
        let mut archive = tar::Builder::new(Vec::new());
        link(&mut archive, tar::EntryType::Symlink, "way", target);
        file(&mut archive, "way/planted");
        put(&archive.into_inner().unwrap());
        let mut archive = tar::Builder::new(Vec::new());
        link(&mut archive, tar::EntryType::Link, "stolen", &format!("../..{target}/secret"));
        assert_ne!(put(&archive.into_inner().unwrap()), 200);
        let mut archive = tar::Builder::new(Vec::new());
        file(&mut archive, "../../../../../../planted");
        assert_ne!(put(&archive.into_inner().unwrap()), 200);
        assert_ne!(put(b"no tar"), 200);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    }
}

fn file(archive: &mut tar::Builder<Vec<u8>>, name: &str) {
    let mut header = tar::Header::new_gnu();
    // The builder refuses such names.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(1);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, &b"x"[..]).unwrap();
}

fn link(archive: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o777);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    archive.append(&header, &b""[..]).unwrap();
}

#[test]
fn an_archive_of_standard_input_may_be_compressed() {
    let daemon = TestDaemon::start("cpgz");
    daemon.run(&["create", "--name", "box", "busybox", "cat", "/tmp/file"]);
    let mut archive = tar::Builder::new(Vec::new());
    file(&mut archive, "file");
    let mut child =
        std::process::Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&archive.into_inner().unwrap()).unwrap();
    let packed = child.wait_with_output().unwrap().stdout;
    let answer = call(&daemon, "PUT /containers/box/archive?path=/tmp", &packed);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(daemon.run(&["start", "-a", "box"]), "x");
}

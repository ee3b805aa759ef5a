//! Contexts that mean harm, and hosts that run out.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
};

use wharf_tests::{Output, TestDaemon};

fn context(daemon: &TestDaemon, dockerfile: &str) -> PathBuf {
    let folder = daemon.folder.join("context");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    folder
}

fn build(daemon: &TestDaemon, folder: &Path, args: &[&str]) -> Output {
    daemon.wharf(&[&["build", "--progress", "plain"], args, &[folder.to_str().unwrap()]].concat())
}

/// Sends an archive to `POST /build`; returns the whole response.
fn post(daemon: &TestDaemon, archive: &[u8]) -> String {
    let mut stream = UnixStream::connect(daemon.host().trim_start_matches("unix://")).unwrap();
    let head = "POST /build?t=hostile HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
                Content-Type: application/x-tar";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n", archive.len()).unwrap();
    // The engine may have read enough before all is sent.
    let _ = stream.write_all(archive);
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// An entry of an archive, with a name that the `tar` crate would not write.
fn entry(archive: &mut Vec<u8>, name: &str, kind: tar::EntryType, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_entry_type(kind);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    if kind == tar::EntryType::Block {
        header.set_device_major(7).unwrap();
        header.set_device_minor(0).unwrap();
    }
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn archive(dockerfile: &str, entries: &[(&str, tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    entry(&mut archive, "Dockerfile", tar::EntryType::Regular, "", dockerfile.as_bytes());
    for (name, kind, link, content) in entries {
        entry(&mut archive, name, *kind, link, content);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[test]
fn archives_lead_nowhere() {
    use tar::EntryType::{Block, Fifo, Link, Regular, Symlink};
    let daemon = TestDaemon::start("buildtar");
    let outside = daemon.folder.join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap();
    for (name, link) in [("../up", ""), ("a/../../up", ""), ("hard", "../outside/secret")] {
        let kind = if link.is_empty() { Regular } else { Link };
        let response = post(&daemon, &archive("FROM busybox\n", &[(name, kind, link, b"")]));
        assert!(response.starts_with("HTTP/1.1 400"), "{response}");
        assert!(response.contains("leads outside"), "{response}");
    }
    let response = post(&daemon, &archive("FROM busybox\n", &[("hard", Link, "etc/shadow", b"")]));
    assert!(response.contains("link to nothing"), "{response}");

    // A file below a link to a folder of the host, and devices: what is copied stays in the image.
    let text = "FROM busybox\nCOPY . /all/\nCOPY out/f /f\nRUN ls -l /all\n";
    let entries: &[(&str, tar::EntryType, &str, &[u8])] = &[
        ("out", Symlink, target, b""),
        ("out/f", Regular, "", b"escaped"),
        ("disk", Block, "", b""),
        ("pipe", Fifo, "", b""),
        ("/absolute", Regular, "", b"inside"),
    ];
    let response = post(&daemon, &archive(text, entries));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{response}");
    assert!(!Path::new("/absolute").exists());
    assert!(!response.contains(" disk") && !response.contains(" pipe"), "{response}");
    fs::write(outside.join("secret"), "of the host").unwrap();
    let entries: &[(&str, tar::EntryType, &str, &[u8])] = &[("out", Symlink, target, b"")];
    let response = post(&daemon, &archive("FROM busybox\nCOPY out/secret /s\n", entries));
    assert!(response.contains("not found"), "{response}");
    let response = post(&daemon, &archive("FROM busybox\nCOPY ../outside/secret /s\n", entries));
    assert!(response.contains("not found") || response.contains("outside"), "{response}");
    // The engine goes on.
    assert!(post(&daemon, &archive("FROM busybox\n", &[])).contains("Successfully built"));
}

#[test]
fn folders_lead_nowhere() {
    let daemon = TestDaemon::start("buildlinks");
    fs::write(daemon.folder.join("secret"), "of the host").unwrap();
    let folder = context(&daemon, "FROM busybox\nCOPY link /s\n");
    symlink("../secret", folder.join("link")).unwrap();
    symlink(&daemon.folder, folder.join("folder")).unwrap();
    let refused = |dockerfile: &str| {
        context(&daemon, dockerfile);
        let output = build(&daemon, &folder, &[]);
        assert_eq!(output.code, 1, "{dockerfile}: {}", output.stderr);
        assert!(output.stderr.contains("not found"), "{dockerfile}: {}", output.stderr);
    };
    refused("FROM busybox\nCOPY link /s\n");
    refused("FROM busybox\nCOPY folder/secret /s\n");
    refused("FROM busybox\nCOPY ../secret /s\n");
    refused("FROM busybox\nRUN --mount=type=bind,source=folder/secret,target=/s cat /s\n");
}

#[test]
fn a_file_without_end_is_refused() {
    let daemon = TestDaemon::start("buildhuge");
    let folder = context(&daemon, "FROM busybox\nCOPY . /all/\n");
    fs::File::create(folder.join("huge")).unwrap().set_len(1 << 40).unwrap();
    let output = build(&daemon, &folder, &[]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("the context exceeds the limit of"), "{}", output.stderr);
    // The same in an archive that says how large its file is without having it.
    let mut header = tar::Header::new_gnu();
    header.set_path("huge").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    header.set_mode(0o644);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 40);
    gnu.sparse[0].set_offset(1 << 40);
    gnu.sparse[0].set_length(0);
    header.set_cksum();
    let mut bytes = archive("FROM busybox\nCOPY . /all/\n", &[]);
    bytes.truncate(bytes.len() - 1024);
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + 1024, 0);
    let response = post(&daemon, &bytes);
    assert!(response.contains("exceeds the limit of"), "{response}");
    fs::remove_file(folder.join("huge")).unwrap();
    // One with holes is stored with holes.
    fs::File::create(folder.join("holes")).unwrap().set_len(1 << 28).unwrap();
    context(&daemon, "FROM busybox\nCOPY holes /\nRUN du -k /holes; stat -c %s /holes\n");
    let output = build(&daemon, &folder, &["-t", "holes"]);
    assert!(
        output.stderr.contains("268435456\n") && output.stderr.contains(" 0\t/holes\n"),
        "{}",
        output.stderr
    );
}

#[test]
fn many_files() {
    let daemon = TestDaemon::start("buildmany");
    let folder = context(&daemon, "FROM busybox\nCOPY many /many\nRUN find /many -type f | wc -l\n");
    for group in 0..100 {
        let below = folder.join(format!("many/{group}"));
        fs::create_dir_all(&below).unwrap();
        (0..1000).for_each(|number| fs::write(below.join(number.to_string()), "").unwrap());
    }
    let output = build(&daemon, &folder, &["-t", "many"]);
    assert!(output.stderr.contains(" 100000\n"), "{}", output.stderr);
}

/// A small file system for the data root, lazily unmounted when dropped.
struct Small(PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// An engine whose data root has 48 MiB.
fn small(name: &str) -> (TestDaemon, Small) {
    let mut daemon = TestDaemon::start(name);
    daemon.stop();
    let small = Small(daemon.data());
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "none"]).arg(&small.0).status();
    assert!(mounted.unwrap().success());
    daemon.launch();
    let tar = daemon.folder.join("busybox.tar");
    daemon.run(&["import", tar.to_str().unwrap(), "busybox"]);
    (daemon, small)
}

#[test]
fn a_full_disk_is_told_of_and_survived() {
    let (daemon, small) = small("buildfull");
    let folder = context(&daemon, "FROM busybox\nRUN dd if=/dev/urandom of=/big bs=1M count=64\n");
    let failed = build(&daemon, &folder, &[]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("No space left on device"), "{}", failed.stderr);
    let folder = context(&daemon, "FROM busybox\nCOPY big /\n");
    let mut random = fs::File::open("/dev/urandom").unwrap().take(64 << 20);
    std::io::copy(&mut random, &mut fs::File::create(folder.join("big")).unwrap()).unwrap();
    let failed = build(&daemon, &folder, &[]);
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.to_lowercase().contains("no space left on device"), "{}", failed.stderr);
    fs::remove_file(folder.join("big")).unwrap();
    context(&daemon, "FROM busybox\nRUN echo fits >/f\n");
    let built = build(&daemon, &folder, &["-t", "fits"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    drop(small);
}

#[test]
fn a_full_disk_gives_its_space_back() {
    let (daemon, small) = small("buildspace");
    let free = || {
        let disk = rustix::fs::statvfs(&small.0).unwrap();
        disk.f_bfree * disk.f_frsize
    };
    let before = free();
    let folder = context(&daemon, "FROM busybox\nRUN cat /dev/zero >/big\n");
    let failed = build(&daemon, &folder, &[]);
    assert!(failed.code == 1 && failed.stderr.contains("No space left on device"), "{}", failed.stderr);
    // What the step left is kept for a look at it; the next one that fails takes its place.
    let folder = context(&daemon, "FROM busybox\nRUN false\n");
    assert_eq!(build(&daemon, &folder, &[]).code, 1);
    let back = wharf_tests::until(std::time::Duration::from_secs(20), || free() + (1 << 20) > before);
    assert!(back, "{} of {before} bytes are free", free());
    drop(small);
}

#[test]
fn secrets_are_nowhere() {
    let daemon = TestDaemon::start("buildsecret");
    let secret = "hush-4bd1c2";
    let folder = context(
        &daemon,
        "FROM busybox\nRUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S \
         test \"$S\" = \"$(cat /run/secrets/s)\" && wc -c </run/secrets/s\n",
    );
    let file = daemon.folder.join("secret");
    fs::write(&file, secret).unwrap();
    let output = build(&daemon, &folder, &["--secret", &format!("id=s,src={}", file.display()), "-t", "s"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(!output.stderr.contains(secret));
    assert!(!daemon.run(&["history", "--no-trunc", "s"]).contains(secret));
    for place in [daemon.data(), daemon.folder.join("exec"), daemon.folder.join("log")] {
        let found = Command::new("grep").args(["-rlaF", secret]).arg(&place).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the secret is in {}", place.display());
    }
}
